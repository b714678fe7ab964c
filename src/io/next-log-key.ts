/** The files of a log key that is about to take the place of another: what happens when is said in origin/log/rotate-log-key.ts. */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openKeysNote } from '../core/keys-note.ts';
import { NOTE_BYTES_MAX } from '../core/limits.ts';
import { ignoreMissing, openIfThere, readBounded, syncFolder, writeDurably } from './durable-file.ts';
import {
  CERTIFICATE,
  certify,
  FOLDER,
  LOG_KEY,
  NEXT,
  type OriginKeys,
  openLogKey,
  type SigningKey,
} from './key-file.ts';

/**
 * Makes another log key and the note that certifies it, beside the files whose place they are to take: first the key,
 * then the note. Both are durable when this resolves.
 */
export async function makeNextLogKey(dir: string, keys: OriginKeys, root: SigningKey): Promise<SigningKey> {
  const folder = join(dir, FOLDER);
  const log = await openLogKey(join(folder, LOG_KEY + NEXT), keys.logName);
  await writeDurably(join(folder, CERTIFICATE + NEXT), await certify({ ...keys, log }, root));
  return log;
}

/** Vkey of a log key that waits with its note to take its place; null if there is none, or only one without a note. */
export async function nextLogVkey(dir: string): Promise<string | null> {
  const note = await readBounded(join(dir, FOLDER, CERTIFICATE + NEXT), NOTE_BYTES_MAX);
  return note && openKeysNote(note, null).log;
}

/** Puts next log key and note in their places: first the key. After a crash in between it is to be called again. */
export async function takeNextLogKey(dir: string): Promise<void> {
  for (const name of [LOG_KEY, CERTIFICATE]) {
    const path = join(dir, FOLDER, name);
    await rename(path + NEXT, path).catch(ignoreMissing);
    await syncFolder(join(dir, FOLDER));
  }
}

/** Forgets next log key and note: first the note, since a note without its key means that the key is in its place. */
export async function dropNextLogKey(dir: string): Promise<void> {
  for (const name of [CERTIFICATE, LOG_KEY]) {
    const path = join(dir, FOLDER, name + NEXT);
    const file = await openIfThere(path);
    if (file === null) continue;
    await file.close();
    await rm(path);
    await syncFolder(join(dir, FOLDER));
  }
}
