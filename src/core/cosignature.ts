/**
 * Cosignatures: what others than the log say of its checkpoints, as in C2SP tlog-cosignature
 * (https://c2sp.org/tlog-cosignature), cosignature/v1 with Ed25519.
 *
 * A cosignature says: as of this time, this is the largest tree of this log that I have seen, and it contains all that I
 * saw before. It stands beneath the checkpoint as one more signature line, its bytes being the time (64 bits, big
 * endian) and a signature of the time and the text.
 */

import { concat, utf8 } from './bytes.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { verifyEd25519 } from './ed25519.ts';
import { FederationError, SignatureError } from './errors.ts';
import {
  COSIGNATURE_TYPE,
  formatSignature,
  formatVkey,
  parseVkey,
  type Signature,
  type Signer,
  signChecked,
  splitNote,
  type Vkey,
} from './note.ts';

/** A good cosignature. */
export type Cosignature = {
  /** Whose it is. */
  readonly vkey: string;
  /** When it was made, in seconds since 1970. */
  readonly time: number;
  /** The signature line itself, with its line feed, to be kept or passed on. */
  readonly line: string;
};

const TIME_BYTES = 8;

/**
 * What a cosigner signs.
 * @param time seconds since 1970
 * @param text of the checkpoint, with its last line feed
 */
export function cosignatureMessage(time: number, text: string): Uint8Array {
  return utf8(`cosignature/v1\ntime ${time}\n${text}`);
}

/**
 * The line that cosigns a checkpoint.
 * @param text of the checkpoint, with its last line feed
 * @param time seconds since 1970, at least 1: a witness has to say when
 * @param signer its key must sign nothing else: the message does not name the cosigner
 * @throws MalformedError if the text is no checkpoint; SignatureError if the signer's private and public key don't match
 */
export async function cosign(text: string, time: number, signer: Signer): Promise<string> {
  if (!Number.isSafeInteger(time) || time < 1) throw new RangeError(`${time} is no time in whole seconds`);
  parseCheckpoint(text);
  const { name, keyId } = parseVkey(formatVkey(signer.name, signer.publicKey, COSIGNATURE_TYPE), COSIGNATURE_TYPE);
  const signature = await signChecked(cosignatureMessage(time, text), signer);
  return formatSignature({ name, keyId, bytes: concat([timeBytes(time), signature]) });
}

/**
 * The cosignatures that these cosigners put beneath a checkpoint, the newest of each; those of other keys are ignored.
 * Says nothing of the log's own signature: that is for core/checkpoint.ts.
 * @param vkeys cosigners' keys (signature type 0x04)
 * @throws MalformedError if it is no note; SignatureError if a known cosigner's signature is bad
 */
export function openCosignatures(note: Uint8Array | string, vkeys: readonly string[]): Cosignature[] {
  const { text, signatures } = splitNote(note);
  const known = vkeys.map((vkey) => ({ vkey, key: parseVkey(vkey, COSIGNATURE_TYPE) }));
  const newest = new Map<string, Cosignature>();
  for (const signature of signatures) {
    for (const { vkey, key } of known) {
      if (key.name !== signature.name || key.keyId !== signature.keyId) continue;
      const time = checkedTime(text, signature, key);
      if (time < (newest.get(vkey)?.time ?? 0)) continue;
      newest.set(vkey, { vkey, time, line: formatSignature(signature) });
    }
  }
  return [...newest.values()];
}

/**
 * The same of a note that came from anywhere: none if it can't be opened. A wrong one spoils what stands beside it, as
 * whoever passed it on did not look.
 */
export function tryOpenCosignatures(note: Uint8Array | string, vkeys: readonly string[]): Cosignature[] {
  try {
    return openCosignatures(note, vkeys);
  } catch (error) {
    if (error instanceof FederationError) return [];
    throw error;
  }
}

/**
 * Who cosigned, by name, and when, in seconds since 1970, as the lines of a checkpoint say. None of them is verified here:
 * for a note that was put together from what was.
 * @throws MalformedError if it is no checkpoint
 */
export function cosignersNamed(note: string): { readonly name: string; readonly time: number }[] {
  const { text, signatures } = splitNote(note);
  const { origin } = parseCheckpoint(text);
  return signatures.flatMap(({ name, bytes }) => {
    const time = name === origin ? null : timeIn(bytes);
    return time === null ? [] : [{ name, time }];
  });
}

function checkedTime(text: string, { bytes }: Signature, key: Vkey): number {
  const time = timeIn(bytes);
  const signature = bytes.subarray(TIME_BYTES);
  if (time !== null && verifyEd25519(key.publicKey, cosignatureMessage(time, text), signature)) return time;
  throw new SignatureError(`the cosignature by ${key.name} (key ${key.keyId}) is wrong`);
}

function timeBytes(time: number): Uint8Array {
  const bytes = new Uint8Array(TIME_BYTES);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(time));
  return bytes;
}

/** The time that a cosignature begins with; null if there is none, or one that no clock of ours will ever show. */
function timeIn(bytes: Uint8Array): number | null {
  if (bytes.length < TIME_BYTES) return null;
  const time = new DataView(bytes.slice(0, TIME_BYTES).buffer).getBigUint64(0);
  return time <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(time) : null;
}
