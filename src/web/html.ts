/** HTML from templates in which every value is escaped unless it is HTML already. */

/** HTML that is safe to put into a page as it is. */
export class Html {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** Escapes for text and for attributes in quotes. */
export function escapeHtml(value: string): string {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Tag for templates: texts are escaped, HTML is taken over. */
export function html(parts: TemplateStringsArray, ...values: readonly (string | Html)[]): Html {
  const filled = values.map((value) => (value instanceof Html ? value.toString() : escapeHtml(value)));
  return new Html(parts.map((part, at) => part + (filled[at] ?? '')).join(''));
}

/** Lines to copy into a terminal or a file. Each is an element, so that one which is broken still looks like one. */
export function codeBlock(lines: readonly string[]): Html {
  return html`<pre tabindex="0">${join(lines.map((line) => html`<span class="line">${line}\n</span>`))}</pre>`;
}

/** Pieces one after the other. */
export function join(pieces: readonly Html[]): Html {
  return new Html(pieces.join(''));
}
