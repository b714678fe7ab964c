/**
 * Checkpoints with their cosignatures: what one cosigner remembers of a log, and the note that is served, which has many.
 */

import { type Checkpoint, openCheckpoint, parseCheckpoint } from './checkpoint.ts';
import { openCosignatures } from './cosignature.ts';
import { SignatureError } from './errors.ts';
import { addSignatureLines, formatSignature, parseVkey, splitNote } from './note.ts';

/** A checkpoint that one cosigner cosigned. */
export type Cosigned = {
  readonly checkpoint: Checkpoint;
  /** What was cosigned, with its last line feed. */
  readonly text: string;
  /** The note with the log's signatures and this cosignature. */
  readonly note: string;
  /** The cosignature alone, with its line feed. */
  readonly line: string;
  /** When it was made, in seconds since 1970. */
  readonly time: number;
};

/** A log, as far as its checkpoints can be told by it. */
export type LogKeys = {
  /** Its origin line. */
  readonly name: string;
  /** Its keys (signature type 0x01). */
  readonly vkeys: readonly string[];
};

/**
 * The checkpoint with the signatures of the log's own keys and no others: strangers may have added any number.
 * @throws MalformedError if it is no checkpoint; SignatureError if the log did not sign it
 */
export function withoutCosignatures(note: string, { name, vkeys }: LogKeys): string {
  const { text, signedBy } = openCheckpoint(note, vkeys, name);
  const ids = new Set(signedBy.map((vkey) => parseVkey(vkey).keyId));
  const lines = splitNote(note)
    .signatures.filter((signature) => signature.name === name && ids.has(signature.keyId))
    .map(formatSignature);
  return `${text}\n${[...new Set(lines)].join('')}`;
}

/**
 * Parts a checkpoint that was verified from what others say of it.
 * @returns `bare` has the signatures that are named as the log is, `lines` are all others; none of them is verified here
 */
export function partCosignatures(note: string): { bare: string; lines: string[] } {
  const { text, signatures } = splitNote(note);
  const { origin } = parseCheckpoint(text);
  const linesOf = (own: boolean) => signatures.filter(({ name }) => (name === origin) === own).map(formatSignature);
  return { bare: `${text}\n${linesOf(true).join('')}`, lines: linesOf(false) };
}

/**
 * What this cosigner says in a note.
 * @param cosigner its vkey (signature type 0x04)
 * @throws MalformedError if it is no checkpoint; SignatureError if the cosigner did not cosign it, or not well. The log's
 * signature is not looked at.
 */
export function openCosigned(note: string, cosigner: string): Cosigned {
  const { text } = splitNote(note);
  const checkpoint = parseCheckpoint(text);
  const [found] = openCosignatures(note, [cosigner]);
  if (!found) throw new SignatureError(`the checkpoint is not cosigned by ${cosigner}`);
  return { checkpoint, text, note, line: found.line, time: found.time };
}

/**
 * The note to serve: a checkpoint with the newest cosignature of each cosigner.
 * @param note with the log's signatures
 * @param lines of cosigners, verified, the ones to keep first
 * @param linesMax of them, so many are served
 */
export function withCosignatures(note: string, lines: readonly string[], linesMax: number): string {
  return addSignatureLines(note, lines.slice(0, linesMax));
}
