/**
 * Signed notes: text with signatures beneath it, as in C2SP signed-note (https://c2sp.org/signed-note), with Ed25519
 * keys only: those that sign the text itself (signature type 0x01), and those of cosigners (0x04, core/cosignature.ts).
 *
 * A note is the text, one empty line, and a line for each signature:
 *
 *     This is an example message.
 *
 *     — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
 *
 * The text means nothing until {@link openNote} found a good signature of a key that the caller trusts.
 */

import { concat, fromBase64, fromHex, text as textOf, toBase64, toHex, utf8 } from './bytes.ts';
import { ED25519_KEY_BYTES, verifyEd25519 } from './ed25519.ts';
import { MalformedError, quote, SignatureError } from './errors.ts';
import { sha256, sha256Hex } from './hash.ts';
import { KEY_NAME_LENGTH_MAX, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX } from './limits.ts';

/** What a key's signatures are, and over what: one key must not have two uses. */
export type SignatureType = typeof ED25519_TYPE | typeof COSIGNATURE_TYPE;

/** A verifier key, read from its text form. */
export type Vkey = {
  readonly name: string;
  readonly type: SignatureType;
  /** 8 lower-case hex digits. */
  readonly keyId: string;
  /** The raw 32 bytes of an Ed25519 public key. */
  readonly publicKey: Uint8Array;
};

/** Someone who signs: a key's name, its raw public key, and a function that has the private key. */
export type Signer = {
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly sign: (message: Uint8Array) => Uint8Array | Promise<Uint8Array>;
};

/** A note whose signatures were checked. */
export type OpenedNote = {
  /** The signed text, with its last line feed. */
  readonly text: string;
  /** Those of the given vkeys that signed, in the order of their signatures. */
  readonly signedBy: string[];
};

/** A signature line. */
export type Signature = {
  readonly name: string;
  /** 8 lower-case hex digits. */
  readonly keyId: string;
  readonly bytes: Uint8Array;
};

/** Ed25519 over the note's text. */
export const ED25519_TYPE = 0x01;
/** Ed25519 over the text of a checkpoint and a time (C2SP tlog-cosignature). */
export const COSIGNATURE_TYPE = 0x04;

const FORMAT = 'signed note';
const KEY_ID_BYTES = 4;
const TYPE_NAMES = { [ED25519_TYPE]: 'Ed25519 (0x01)', [COSIGNATURE_TYPE]: 'Ed25519 cosignature (0x04)' };
// biome-ignore lint/suspicious/noControlCharactersInRegex: a note may contain none of them but the line feed
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: a name may contain none of them
const NOT_IN_NAMES = /[\p{White_Space}+\u0000-\u001f]/u;

/** Key ID as C2SP recommends it: the first 4 bytes of SHA-256(name || 0x0A || type || key), as 8 hex digits. */
export function keyId(name: string, type: number, key: Uint8Array): string {
  return toHex(sha256(concat([utf8(`${name}\n`), Uint8Array.of(type), key])).subarray(0, KEY_ID_BYTES));
}

/** Id of a host: the first 16 hex digits of the SHA-256 of its raw identity key. */
export function hostIdOf(publicKey: Uint8Array): string {
  return sha256Hex(publicKey).slice(0, 16);
}

/**
 * Text form of an Ed25519 verifier key: `<name>+<key ID>+<base64 of type and key>`.
 * @param publicKey raw 32 bytes
 * @throws MalformedError if the name is not one for keys, or the key has another length
 */
export function formatVkey(name: string, publicKey: Uint8Array, type: SignatureType = ED25519_TYPE): string {
  checkName(name);
  checkKeyLength(publicKey);
  const typed = concat([Uint8Array.of(type), publicKey]);
  return `${name}+${keyId(name, type, publicKey)}+${toBase64(typed)}`;
}

/**
 * @param type the one use that the caller has for the key: a cosigner's key must not pass for one that signs texts
 * @throws MalformedError for everything that {@link formatVkey} would not print with this type
 */
export function parseVkey(vkey: string, type: SignatureType = ED25519_TYPE): Vkey {
  const [name = '', id, ...base64] = vkey.split('+');
  if (base64.length === 0) throw new MalformedError('vkey', `${quote(vkey)} is not <name>+<key ID>+<key>`);
  const typed = fromBase64(base64.join('+'));
  if (typed[0] !== type) throw new MalformedError('vkey', `${quote(vkey)} is not of type ${TYPE_NAMES[type]}`);
  const publicKey = typed.subarray(1);
  if (formatVkey(name, publicKey, type) === vkey) return { name, type, keyId: id as string, publicKey };
  throw new MalformedError('vkey', `the key ID in ${quote(vkey)} is not the one of its name and key`);
}

/**
 * The note with one signature line for each signer, in their order. Each signature is verified before it is given out.
 * @param text ends in a line feed
 * @throws MalformedError if the text can't be signed; SignatureError if a signer's private and public key don't match
 */
export async function signNote(text: string, signers: readonly Signer[]): Promise<string> {
  if (signers.length === 0) throw new MalformedError(FORMAT, 'it needs at least one signer');
  checkText(text);
  if (!text.endsWith('\n')) throw new MalformedError(FORMAT, 'its text does not end in a line feed');
  const lines = [];
  for (const signer of signers) lines.push(await signatureLine(utf8(text), signer));
  const note = `${text}\n${lines.join('')}`;
  checkText(note);
  return note;
}

async function signatureLine(message: Uint8Array, signer: Signer): Promise<string> {
  const { name, keyId: id } = parseVkey(formatVkey(signer.name, signer.publicKey));
  return formatSignature({ name, keyId: id, bytes: await signChecked(message, signer) });
}

/**
 * A signature of the message, verified.
 * @throws SignatureError if the signer's private and public key don't match
 */
export async function signChecked(message: Uint8Array, { name, publicKey, sign }: Signer): Promise<Uint8Array> {
  const signature = await sign(message);
  if (verifyEd25519(publicKey, message, signature)) return signature;
  throw new SignatureError(`the private key of ${name} does not belong to its public key`);
}

/** A signature line, with its line feed. */
export function formatSignature({ name, keyId: id, bytes }: Signature): string {
  return `— ${name} ${toBase64(concat([fromHex(id), bytes]))}\n`;
}

/**
 * The note with these signature lines beneath its own. A key has one line: a later one takes the place of an earlier
 * one, so that a cosignature can be renewed. None of them is verified: that is for who adds them.
 * @param lines each with its line feed
 * @throws MalformedError if it is no note, or would be none with these lines
 */
export function addSignatureLines(note: string, lines: readonly string[]): string {
  const { text, signatures } = splitNote(note);
  const all = [...signatures, ...lines.map(readSignatureLine)];
  const byKey = new Map(all.map((signature) => [`${signature.name} ${signature.keyId}`, signature]));
  const whole = `${text}\n${[...byKey.values()].map(formatSignature).join('')}`;
  splitNote(whole);
  return whole;
}

function readSignatureLine(line: string): Signature {
  if (line.endsWith('\n')) return readSignature(line.slice(0, -1), 1);
  throw new MalformedError(FORMAT, `the signature line ${quote(line)} does not end in a line feed`);
}

/**
 * The text of a note that at least one of the given keys signed. Signatures of other keys are ignored.
 *
 * `signedBy` tells which keys did: a caller that needs more than one signature looks there.
 * @param vkeys the keys that the caller trusts for this text
 * @throws MalformedError if it is no note; SignatureError if no given key signed it, or one did and the signature is bad
 */
export function openNote(note: Uint8Array | string, vkeys: readonly string[]): OpenedNote {
  const { text, signatures } = splitNote(note);
  const known = vkeys.map((vkey) => ({ vkey, ...parseVkey(vkey) }));
  const message = utf8(text);
  const signedBy = new Set<string>();
  for (const signature of signatures) {
    for (const key of known) {
      if (key.name !== signature.name || key.keyId !== signature.keyId) continue;
      if (!verifyEd25519(key.publicKey, message, signature.bytes)) {
        throw new SignatureError(`the note's signature by ${key.name} (key ${key.keyId}) is wrong`);
      }
      signedBy.add(key.vkey);
    }
  }
  if (signedBy.size === 0) throw new SignatureError(`none of the expected keys signed the note: ${namesOf(known)}`);
  return { text, signedBy: [...signedBy] };
}

/**
 * Takes a note apart without looking at what its signatures are worth. Only for texts that name their own keys: all
 * others are for {@link openNote}.
 * @throws MalformedError if it is no note
 */
export function splitNote(note: Uint8Array | string): { text: string; signatures: Signature[] } {
  const whole = typeof note === 'string' ? note : textOf(note, FORMAT);
  checkText(whole);
  // A text may hold empty lines, a block of signatures can't: the last empty line is what parts them.
  const end = whole.lastIndexOf('\n\n');
  if (end < 0) throw new MalformedError(FORMAT, 'no empty line stands between text and signatures');
  const lines = whole.slice(end + 2).split('\n');
  if (lines.pop() !== '' || lines.length === 0) {
    throw new MalformedError(FORMAT, 'it does not end in a signature line with its line feed');
  }
  if (lines.length > NOTE_SIGNATURES_MAX) {
    throw new MalformedError(FORMAT, `${lines.length} signatures, at most ${NOTE_SIGNATURES_MAX} are looked at`);
  }
  const text = whole.slice(0, end + 1);
  const first = text.split('\n').length + 1;
  return { text, signatures: lines.map((line, at) => readSignature(line, first + at)) };
}

function readSignature(text: string, line: number): Signature {
  const [, name = '', base64 = ''] = /^— ([^ ]+) ([^ ]+)$/.exec(text) ?? [];
  const bytes = tryBase64(base64);
  if (NOT_IN_NAMES.test(name) || bytes.length <= KEY_ID_BYTES) {
    throw new MalformedError(FORMAT, `${quote(text)} is no signature line: — <key name> <base64>`, { line });
  }
  return { name, keyId: toHex(bytes.subarray(0, KEY_ID_BYTES)), bytes: bytes.subarray(KEY_ID_BYTES) };
}

function tryBase64(base64: string): Uint8Array {
  try {
    return fromBase64(base64);
  } catch {
    return new Uint8Array(0);
  }
}

function checkText(text: string): void {
  const length = utf8(text).length;
  if (length > NOTE_BYTES_MAX)
    throw new MalformedError(FORMAT, `${length} bytes, at most ${NOTE_BYTES_MAX} are allowed`);
  const at = text.search(CONTROL);
  if (at < 0) return;
  const line = text.slice(0, at).split('\n').length;
  throw new MalformedError(FORMAT, 'control characters other than line feeds are not allowed', { line });
}

function checkName(name: string): void {
  if (name !== '' && name.length <= KEY_NAME_LENGTH_MAX && name.isWellFormed() && !NOT_IN_NAMES.test(name)) return;
  throw new MalformedError(
    'vkey',
    `${quote(name)} can't name a key: empty, too long, or with white space or a plus sign`,
  );
}

function checkKeyLength(publicKey: Uint8Array): void {
  if (publicKey.length === ED25519_KEY_BYTES) return;
  throw new MalformedError('vkey', `${publicKey.length} bytes of public key, Ed25519 has ${ED25519_KEY_BYTES}`);
}

function namesOf(keys: readonly Vkey[]): string {
  return keys.map((key) => `${key.name} (key ${key.keyId})`).join(', ') || 'none is known';
}
