/**
 * Checkpoints: the signed notes by which a log says how many entries it has and what their root hash is, as in C2SP
 * tlog-checkpoint (https://c2sp.org/tlog-checkpoint). The text of one is
 *
 *     <origin>
 *     <size>
 *     <base64 of the root hash>
 *
 * and perhaps extension lines, which this software never writes: nothing audits them.
 */

import { fromBase64, toBase64, utf8 } from './bytes.ts';
import { quote, SignatureError } from './errors.ts';
import { type Field, linesOf, number, readValue, showValue, textField } from './fields.ts';
import { SHA256_BYTES } from './hash.ts';
import { NOTE_BYTES_MAX } from './limits.ts';
import type { TreeHead } from './merkle.ts';
import { openNote } from './note.ts';

/** What a checkpoint says: the head of the log's tree, and which log it is. */
export type Checkpoint = TreeHead & {
  /** The log's name, the checkpoint's first line. */
  readonly origin: string;
  readonly extensions: readonly string[];
};

/** A checkpoint whose signatures were checked. */
export type OpenedCheckpoint = {
  readonly checkpoint: Checkpoint;
  /** The signed text, for cosignatures. */
  readonly text: string;
  /** Those of the given vkeys that signed. */
  readonly signedBy: readonly string[];
};

const FORMAT = 'checkpoint';

const line: Field<string> = textField(
  'characters, none of them a control character',
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a note may not contain
  (text) => /^[^\u0000-\u001f]+$/.test(text) && text.isWellFormed(),
);

/** A hash as checkpoints and proofs spell it. */
export const hashField: Field<Uint8Array> = {
  expected: `the base64 of ${SHA256_BYTES} bytes`,
  read: (text) => {
    const hash = fromBase64(text);
    return hash.length === SHA256_BYTES ? hash : undefined;
  },
  show: toBase64,
};

/**
 * The text to sign.
 * @throws MalformedError for what {@link parseCheckpoint} would refuse
 */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  const lines = [
    showValue(FORMAT, 'the origin', line, origin),
    showValue(FORMAT, 'the size', number, size),
    showValue(FORMAT, 'the root hash', hashField, root),
    ...extensions.map((extension) => showValue(FORMAT, 'an extension line', line, extension)),
  ];
  return lines.map((text) => `${text}\n`).join('');
}

/** @throws MalformedError for everything that {@link formatCheckpoint} would not print */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin = '', size = '', root = '', ...extensions] = linesOf(FORMAT, utf8(text), NOTE_BYTES_MAX);
  return {
    origin: readValue(FORMAT, 'the origin', line, origin, 1),
    size: readValue(FORMAT, 'the size', number, size, 2),
    root: readValue(FORMAT, 'the root hash', hashField, root, 3),
    extensions: extensions.map((text, at) => readValue(FORMAT, 'the extension line', line, text, 4 + at)),
  };
}

/**
 * Opens a log's checkpoint.
 * @param vkeys the keys that the caller trusts for this log; one of them must have signed
 * @param origin the log's name
 * @throws MalformedError if it is no checkpoint; SignatureError if no given key signed it, one did and the signature is
 *   bad, or it is another log's
 */
export function openCheckpoint(note: Uint8Array | string, vkeys: readonly string[], origin: string): OpenedCheckpoint {
  const { text, signedBy } = openNote(note, vkeys);
  const checkpoint = parseCheckpoint(text);
  if (checkpoint.origin === origin) return { checkpoint, text, signedBy };
  throw new SignatureError(`the checkpoint is one of ${quote(checkpoint.origin)}, not of ${quote(origin)}`);
}
