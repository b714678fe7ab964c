/**
 * The keys note (docs/protocol.md, "Keys note"): which keys an origin has, signed by its root key and its log key.
 */

import { fromBase64, utf8 } from './bytes.ts';
import { MalformedError, SignatureError } from './errors.ts';
import { type Field, type Fields, linesOf, readFields, showFields, textField, unexpected } from './fields.ts';
import { NOTE_BYTES_MAX } from './limits.ts';
import { COSIGNATURE_TYPE, openNote, parseVkey, type SignatureType, splitNote } from './note.ts';

/** The public keys of an origin, each with one use. Vkeys are named after the log. */
export type OriginKeys = {
  /** Signs checkpoints; its name is the log's name. */
  readonly log: string;
  /** Certifies and replaces the others; named `<log name>/root`. */
  readonly root: string;
  /** Signs the list of hosts; named `<log name>/hosts`. */
  readonly hosts: string;
  /**
   * Says that the newest checkpoint still is the newest (signature type 0x04); named `<log name>/cosigner`. Absent where
   * the root key certified the others before there was one.
   */
  readonly cosigner?: string;
  /** X25519 public key (RFC 7748) in base64: hosts agree with it on the key of their marks. */
  readonly exchange: string;
};

/** The first one has no cosigner. */
const FORMAT_1 = 'open-registry keys/1';
const FORMAT_2 = 'open-registry keys/2';
const FORMAT = 'keys note';
const EXCHANGE_KEY_BYTES = 32;

const vkey: Field<string> = textField('a vkey', (text) => parseVkey(text).name !== '');
const cosigner: Field<string> = textField("a cosigner's vkey", (text) => parseVkey(text, COSIGNATURE_TYPE).name !== '');
const exchange: Field<string> = textField(
  `${EXCHANGE_KEY_BYTES} bytes in base64`,
  (text) => fromBase64(text).length === EXCHANGE_KEY_BYTES,
);
const FIELDS_1: Fields<Omit<OriginKeys, 'cosigner'>> = { log: vkey, root: vkey, hosts: vkey, exchange };
const FIELDS_2: Fields<Required<OriginKeys>> = { log: vkey, root: vkey, hosts: vkey, cosigner, exchange };

/** The log's name, which outlives any URL and any key of the origin. */
export function logNameOf(keys: OriginKeys): string {
  return parseVkey(keys.log).name;
}

/**
 * The text to sign with the root key and the log key.
 * @throws MalformedError if a key is not one, or not named after the log
 */
export function formatKeysNoteText(keys: OriginKeys): string {
  checkNames(keys);
  const { cosigner } = keys;
  if (cosigner === undefined) return `${FORMAT_1}\n${showFields(FORMAT_1, FIELDS_1, keys)}`;
  return `${FORMAT_2}\n${showFields(FORMAT_2, FIELDS_2, { ...keys, cosigner })}`;
}

/** @throws MalformedError for everything that {@link formatKeysNoteText} would not print */
export function parseKeysNoteText(text: string): OriginKeys {
  const [first, ...lines] = linesOf(FORMAT, utf8(text), NOTE_BYTES_MAX);
  if (first !== FORMAT_1 && first !== FORMAT_2) throw unexpected(FORMAT, `${FORMAT_2} or ${FORMAT_1}`, first, 1);
  const keys = first === FORMAT_1 ? readFields(first, FIELDS_1, lines, 2) : readFields(first, FIELDS_2, lines, 2);
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
    throw new SignatureError(
      `the keys are those of another origin, or its log key was replaced: expected ${trusted}, got ${keys.log}`,
    );
  }
  return keys;
}

function checkNames(keys: OriginKeys): void {
  const log = logNameOf(keys);
  checkName('root', keys.root, `${log}/root`, 3);
  checkName('hosts', keys.hosts, `${log}/hosts`, 4);
  if (keys.cosigner !== undefined) checkName('cosigner', keys.cosigner, `${log}/cosigner`, 5, COSIGNATURE_TYPE);
}

function checkName(role: string, key: string, expected: string, line: number, type?: SignatureType): void {
  const { name } = parseVkey(key, type);
  if (name !== expected)
    throw new MalformedError(FORMAT, `the ${role} key is named ${name}, not ${expected}`, { line });
}
