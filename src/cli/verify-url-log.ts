/** `verify URL`, the log: the keys, the checkpoint, every entry and every tile, and the tables that the entries make. */

import { toBase64 } from '../core/bytes.ts';
import { openCheckpoint } from '../core/checkpoint.ts';
import { openCosignatures } from '../core/cosignature.ts';
import { logNameOf, type OriginKeys, openKeysNote } from '../core/keys-note.ts';
import { checkLogKey } from '../core/log-key.ts';
import { MemoryTables } from '../core/memory-tables.ts';
import type { TreeHead } from '../core/merkle.ts';
import { splitNote } from '../core/note.ts';
import { checkEntry } from '../core/verify-index.ts';
import { verifyLog } from '../core/verify-log.ts';
import { type Check, Tally } from '../core/verify-report.ts';
import { FOLDS, tablesReader } from '../core/verify-tables.ts';
import type { LogSource } from '../mirror/log/log-source.ts';
import { remoteLog } from './remote-log.ts';

/** What a check found besides what is to be told; null where it failed. */
export type Found<T> = { readonly check: Check; readonly found: T | null };

/** @param trusted vkey of the log key or the root key; null believes the keys that the server shows */
export async function verifyKeysNote(source: LogSource, trusted: string | null): Promise<Found<OriginKeys>> {
  const tally = new Tally('keys');
  const found = await attempted(tally, 'keys note', async () => {
    const keys = openKeysNote(await source.keys(), trusted);
    tally.count('keys note');
    return keys;
  });
  if (found !== null && trusted === null) {
    tally.note(`believed because this server shows it, as no --key was given: ${found.log}`);
  }
  return { check: tally.result('signed by its root key and its log key'), found };
}

/** @param cosigners vkeys of those whose cosignatures are to be checked, besides the origin's own */
export async function verifyCheckpoint(
  source: LogSource,
  keys: OriginKeys,
  cosigners: readonly string[],
): Promise<Found<TreeHead>> {
  const tally = new Tally('checkpoint');
  const found = await attempted(tally, 'checkpoint', async () => {
    const note = await source.checkpoint();
    const { checkpoint } = openCheckpoint(note, [keys.log], logNameOf(keys));
    tally.count('checkpoint');
    tally.note(`${checkpoint.size} entries, root ${toBase64(checkpoint.root)}`);
    noteCosignatures(note, keys, cosigners, tally);
    return checkpoint;
  });
  return { check: tally.result('of this log, signed by its key'), found };
}

function noteCosignatures(note: string, keys: OriginKeys, cosigners: readonly string[], tally: Tally): void {
  const own = keys.cosigner === undefined ? [] : [keys.cosigner];
  const checked = [...new Set([...own, ...cosigners])];
  for (const { vkey, time } of openCosignatures(note, checked)) {
    tally.count('cosignature');
    const who = vkey === keys.cosigner ? 'its origin' : vkey;
    tally.note(`cosigned by ${who} at ${new Date(time * 1000).toISOString()}`);
  }
  const known = [keys.log, ...checked].map((vkey) => vkey.split('+', 2).join('+'));
  const unknown = splitNote(note).signatures.filter(({ name, keyId }) => !known.includes(`${name}+${keyId}`));
  if (unknown.length === 0) return;
  const names = unknown.map(({ name, keyId }) => `${name}+${keyId}`).join(', ');
  tally.note(`not checked, as no --cosigner tells their keys: signatures of ${names}`);
}

/** Reads the whole log, once; the tables are those that a mirror folds. */
export async function verifyEntries(
  source: LogSource,
  keys: OriginKeys,
  head: TreeHead,
): Promise<{ checks: Check[]; tables: MemoryTables }> {
  const tally = new Tally('journal');
  const tables = new MemoryTables();
  const reader = tablesReader(tables, () => Promise.reject(new Error('this fold needs no blobs')));
  let latest = 0;
  const log = await verifyLog(
    remoteLog(source, head),
    async () => head,
    async (entries, first) => {
      for (const [at, bytes] of entries.entries()) {
        tally.count('entry');
        await tally.attempt(`entry ${first + at}`, async () => {
          latest = checkEntry(bytes, latest);
          tables.apply(await FOLDS.mirror(bytes, first + at, reader));
        });
      }
    },
  );
  if (latest > 0) tally.note(`the last one is from ${new Date(latest).toISOString()}`);
  await tally.attempt('log keys', async () => checkLogKeys(tables, keys, tally));
  return { checks: [log, tally.result('all canonical, in the order of time')], tables };
}

/** Each change of the log's key is the root key's word, and the last one leads to the key that signs now. */
function checkLogKeys(tables: MemoryTables, keys: OriginKeys, tally: Tally): void {
  const changes = tables.scan('log-key', '').sort((a, b) => a.row.since - b.row.since);
  for (const { key, row } of changes) {
    checkLogKey({ previous: row.previous, key, signature: row.signature }, keys.root);
    tally.count('change of the log key');
  }
  const last = changes.at(-1)?.key ?? keys.log;
  if (last !== keys.log) throw new Error(`the log names ${last} as its key, the keys note ${keys.log}`);
}

async function attempted<T>(tally: Tally, subject: string, task: () => Promise<T>): Promise<T | null> {
  let found: T | null = null;
  await tally.attempt(subject, async () => {
    found = await task();
  });
  return found;
}
