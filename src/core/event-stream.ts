/**
 * Server-sent events (WHATWG HTML section 9.2): the part that the change feed uses, both ways.
 */
import { utf8 } from './bytes.ts';
import { MalformedError } from './errors.ts';
import { FEED_EVENT_LENGTH_MAX } from './limits.ts';

/** `id` is null for an event without one. */
export type FeedEvent = { readonly event: string; readonly id: string | null; readonly data: string };

/** One event. `data` may have several lines. */
export function formatFeedEvent({ event, id, data }: FeedEvent): Uint8Array {
  const lines = [
    `event: ${event}`,
    ...(id === null ? [] : [`id: ${id}`]),
    ...data.split('\n').map((line) => (line === '' ? 'data:' : `data: ${line}`)),
  ];
  return utf8(`${lines.join('\n')}\n\n`);
}

/** A checkpoint was published: the data are the note. Its size is the id, so that a reader resumes from it. */
export function checkpointEvent(size: number, note: string): FeedEvent {
  return { event: 'checkpoint', id: `${size}`, data: note };
}

/** A comment: shows that the connection is alive and says nothing. */
export function formatFeedPing(): Uint8Array {
  return utf8(': ping\n\n');
}

/** Takes the stream apart as it arrives, in pieces of any size. */
export class FeedParser {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  #rest = '';

  /**
   * Events that are complete now, in order. Comments and unknown fields are passed over.
   * @throws MalformedError for an event longer than FEED_EVENT_LENGTH_MAX or bytes that are not UTF-8
   */
  push(bytes: Uint8Array): FeedEvent[] {
    const blocks = (this.#rest + this.#decode(bytes)).replaceAll('\r\n', '\n').split('\n\n');
    this.#rest = blocks.pop() as string;
    if ([this.#rest, ...blocks].some((block) => block.length > FEED_EVENT_LENGTH_MAX)) {
      throw new MalformedError('change feed', `an event is longer than ${FEED_EVENT_LENGTH_MAX} characters`);
    }
    return blocks.map(parseBlock).filter((event) => event !== null);
  }

  #decode(bytes: Uint8Array): string {
    try {
      return this.#decoder.decode(bytes, { stream: true });
    } catch (cause) {
      throw new MalformedError('change feed', 'it is not UTF-8', { cause });
    }
  }
}

function parseBlock(block: string): FeedEvent | null {
  const fields = block.split('\n').map(parseField);
  const last = (name: string) => fields.findLast((field) => field.name === name)?.value ?? null;
  const data = fields.filter((field) => field.name === 'data').map((field) => field.value);
  if (data.length === 0) return null;
  return { event: last('event') ?? 'message', id: last('id'), data: data.join('\n') };
}

/** A comment is a field without a name. */
function parseField(line: string): { name: string; value: string } {
  // Not `.`, which stops at U+2028: only a line feed ends a line here.
  const [, name = '', value = ''] = /^([^:]*)(?:: ?([^\n]*))?$/.exec(line) ?? [];
  return { name, value };
}
