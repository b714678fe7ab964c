/**
 * The keys note (docs/protocol.md, "Keys note"): which keys an origin has, signed by its root key and its log key.
 */

import { fromBase64, utf8 } from './bytes.ts';
import { MalformedError, SignatureError } from './errors.ts';
import { type Field, type Fields, linesOf, readFields, showFields, textField, unexpected } from './fields.ts';
import { NOTE_BYTES_MAX } from './limits.ts';
import { openNote, parseVkey, splitNote } from './note.ts';

/** The public keys of an origin, each with one use. Vkeys are named after the log. */
export type OriginKeys = {
  /** Signs checkpoints; its name is the log's name. */
  readonly log: string;
  /** Certifies and replaces the others; named `<log name>/root`. */
  readonly root: string;
  /** Signs the list of hosts; named `<log name>/hosts`. */
  readonly hosts: string;
  /** X25519 public key (RFC 7748) in base64: hosts agree with it on the key of their marks. */
  readonly exchange: string;
};

const FORMAT = 'open-registry keys/1';
const EXCHANGE_KEY_BYTES = 32;

const vkey: Field<string> = textField('a vkey', (text) => parseVkey(text).name !== '');
const exchange: Field<string> = textField(
  `${EXCHANGE_KEY_BYTES} bytes in base64`,
  (text) => fromBase64(text).length === EXCHANGE_KEY_BYTES,
);
const FIELDS: Fields<OriginKeys> = { log: vkey, root: vkey, hosts: vkey, exchange };

/** The log's name, which outlives any URL and any key of the origin. */
export function logNameOf(keys: OriginKeys): string {
  return parseVkey(keys.log).name;
}

/**
 * The text to sign with the root key and the log key.
 * @throws MalformedError if a key is not one, or not named after the log
 */
export function formatKeysNoteText(keys: OriginKeys): string {
  const text = `${FORMAT}\n${showFields(FORMAT, FIELDS, keys)}`;
  checkNames(keys);
  return text;
}

/** @throws MalformedError for everything that {@link formatKeysNoteText} would not print */
export function parseKeysNoteText(text: string): OriginKeys {
  const [first, ...lines] = linesOf(FORMAT, utf8(text), NOTE_BYTES_MAX);
  if (first !== FORMAT) throw unexpected(FORMAT, FORMAT, first, 1);
  const keys = readFields(FORMAT, FIELDS, lines, 2);
  checkNames(keys);
  return keys;
}

/**
 * Opens an origin's keys note.
 *
 * Both keys that it names must have signed it: the root key says which log key is the origin's, the log key that it
 * agrees. That makes the note consistent, not trustworthy: trust comes from `trusted`, or from a first visit over a
 * connection that nobody else can answer.
 * @param trusted vkey of the log or the root key that the reader already knows, null on a first visit
 * @throws MalformedError if it is no such note; SignatureError if a signature is missing or wrong, or another origin's
 */
export function openKeysNote(note: Uint8Array | string, trusted: string | null): OriginKeys {
  const keys = parseKeysNoteText(splitNote(note).text);
  const { signedBy } = openNote(note, [keys.root, keys.log]);
  if (signedBy.length < 2) throw new SignatureError('the keys note must be signed by its root key and its log key');
  if (trusted !== null && trusted !== keys.log && trusted !== keys.root) {
    throw new SignatureError(`the keys are those of another origin: expected ${trusted}, got ${keys.log}`);
  }
  return keys;
}

function checkNames(keys: OriginKeys): void {
  const log = logNameOf(keys);
  checkName('root', keys.root, `${log}/root`, 3);
  checkName('hosts', keys.hosts, `${log}/hosts`, 4);
}

function checkName(role: string, key: string, expected: string, line: number): void {
  const { name } = parseVkey(key);
  if (name !== expected)
    throw new MalformedError(FORMAT, `the ${role} key is named ${name}, not ${expected}`, { line });
}
