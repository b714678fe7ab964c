/**
 * Gossip: every exchange between servers of a federation carries the newest checkpoint that each has seen, in a header,
 * so that an origin can't tell one of them another history than the others without being found out.
 */

import { Buffer } from 'node:buffer';

/** On requests to origins and mirrors, and on answers to requests that carry it. */
export const CHECKPOINT_HEADER = 'open-registry-checkpoint';

/** A signed note with more than its log's signature need not fit. */
const NOTE_BYTES_MAX = 2_048;

/** Value of the header: the note in base64url without padding (RFC 4648 section 5). */
export function formatCheckpointHeader(note: string): string {
  return Buffer.from(note).toString('base64url');
}

/** The note in the header, not yet believed; null if there is none, or none that could be one. */
export function parseCheckpointHeader(value: string | string[] | undefined): string | null {
  if (typeof value !== 'string' || value.length > (NOTE_BYTES_MAX * 4) / 3) return null;
  const note = Buffer.from(value, 'base64url');
  return note.length > 0 && note.toString('base64url') === value ? note.toString() : null;
}
