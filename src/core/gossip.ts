/**
 * Gossip: with every request between mirrors, and to their origin, goes the newest checkpoint that the sender has seen,
 * and with the answer that of the other. So two mirrors that were shown different histories find out at their next
 * contact, and a newer checkpoint travels even where the origin can't be reached.
 *
 * The header's value is the signed note in base64url (RFC 4648 section 5), without the cosignatures: they are many.
 */
import { text, utf8 } from './bytes.ts';
import { GOSSIP_BYTES_MAX } from './limits.ts';
import { splitNote } from './note.ts';

export const GOSSIP_HEADER = 'open-registry-checkpoint';

const BASE64URL_LENGTH_MAX = Math.ceil((GOSSIP_BYTES_MAX * 4) / 3);

/**
 * The header's value; null for a note that is too long for one.
 * @param note a checkpoint; of its signatures those go along that are named as the log is
 */
export function formatGossip(note: string): string | null {
  const { text: signed } = splitNote(note);
  const logName = signed.slice(0, signed.indexOf('\n'));
  const lines = note.slice(signed.length + 1).split('\n');
  const own = lines.filter((line) => line.startsWith(`— ${logName} `));
  const bytes = utf8(`${signed}\n${own.map((line) => `${line}\n`).join('')}`);
  return bytes.length <= GOSSIP_BYTES_MAX ? Buffer.from(bytes).toString('base64url') : null;
}

/** The note out of the header's value; null for what can't be one. Nothing of it is verified. */
export function parseGossip(value: unknown): string | null {
  if (typeof value !== 'string' || value.length === 0 || value.length > BASE64URL_LENGTH_MAX) return null;
  const bytes = Buffer.from(value, 'base64url');
  if (bytes.toString('base64url') !== value) return null;
  try {
    return text(bytes, 'gossip');
  } catch {
    return null;
  }
}
