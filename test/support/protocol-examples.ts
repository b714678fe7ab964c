import { readFileSync } from 'node:fs';

/** A fenced block of docs/protocol.md. */
export type Example = {
  /** First word behind the fence, such as `entry`. */
  readonly kind: string;
  /** What follows it there. */
  readonly label: string;
  /** Content, each line with its line feed. */
  readonly text: string;
  /** Hashes in the paragraph right under the block, in order. */
  readonly hashes: readonly string[];
};

const FENCE = /^```(\S+)(?: (.*))?\n([\s\S]*?)^```\n((?:.+\n)?)/gm;

/** The blocks of one kind, in the document's order. The document is the golden vector: what it shows must be true. */
export function protocolExamples(kind: string): Example[] {
  return examples.filter((example) => example.kind === kind);
}

/** The only block of this kind, or with this label. */
export function protocolExample(kind: string, label?: string): Example {
  const found = protocolExamples(kind).filter((example) => label === undefined || example.label === label);
  if (found.length === 1) return found[0] as Example;
  throw new Error(`docs/protocol.md has ${found.length} blocks \`${kind} ${label ?? ''}\`, expected one`);
}

/** A blob that the document shows: its text without the last line feed. */
export function protocolBlob(label: string): Uint8Array {
  return new TextEncoder().encode(protocolExample('json', label).text.slice(0, -1));
}

/** The whole document, for values that stand in its prose. */
export const protocolText = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');

const examples: Example[] = [...protocolText.matchAll(FENCE)].map(
  ([, kind = '', label = '', text = '', below = '']) => ({
    kind,
    label,
    text,
    hashes: [...below.matchAll(/`([0-9a-f]{64})`/g)].map(([, hash = '']) => hash),
  }),
);
