/**
 * Files that are either the old content or the new one, whatever happens, and stay that way once a promise resolves.
 *
 * The system calls, in order: open(temp, O_EXCL) · write … · fsync(temp) · close · rename(temp, path) · fsync(folder).
 * A crash before the rename leaves a temp file, which the owner of the folder removes when it starts; after it, the new
 * content. Without the last fsync the rename itself could be lost with the power.
 *
 * Known hole: a disk that reports an fsync as done which is not.
 */

import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { StorageFullError, TooLargeError } from '../core/errors.ts';

export const TEMP_SUFFIX = '.tmp';

/** A name that no other writer uses, in the folder of `path`. */
export const tempPathFor = (path: string): string => `${path}.${randomBytes(8).toString('hex')}${TEMP_SUFFIX}`;

/**
 * Replaces the content of `path`. `mode` defaults to owner only.
 *
 * @throws StorageFullError if there is no room; the old content stands.
 */
export async function writeDurably(path: string, bytes: Uint8Array, mode = 0o600): Promise<void> {
  const temp = tempPathFor(path);
  try {
    await writeSynced(temp, bytes, mode);
    await rename(temp, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temp, { force: true });
    throw storageError(error, path);
  }
}

/** Makes a new file and waits until its content is on the disk. Its name is durable after {@link syncFolder} only. */
export async function writeSynced(path: string, bytes: Uint8Array, mode = 0o600): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Waits until the names in a folder are on the disk. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Makes a folder (owner only) with those above it that are missing, durably. Harmless if it is there. */
export async function makeFolder(path: string): Promise<void> {
  const absolute = resolve(path);
  const first = await mkdir(absolute, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let at = absolute; at.length >= first.length; at = dirname(at)) await syncFolder(dirname(at));
}

/**
 * The file's content, or null if there is no such file.
 *
 * @throws TooLargeError if it is longer than `maxBytes`.
 */
export async function readBounded(path: string, maxBytes: number): Promise<Uint8Array | null> {
  const file = await openIfThere(path);
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    if (size > maxBytes) throw new TooLargeError(`${path} has ${size} bytes; at most ${maxBytes} were expected`);
    const content = await file.readFile();
    return new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
  } finally {
    await file.close();
  }
}

/** Opens a file for reading, or null if there is no such file. */
export async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, 'r');
  } catch (error) {
    return ignoreMissing(error);
  }
}

/** Removes the temp files that a killed process left in a folder. Only for the folder's owner, before it writes. */
export async function removeTempFiles(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.endsWith(TEMP_SUFFIX)) await rm(join(folder, name), { force: true });
  }
}

/** The error to pass on for a failed file operation: a full disk gets its own class, the rest stays as it is. */
export function storageError(error: unknown, path: string): unknown {
  if (!isDiskFull(error)) return error;
  const why = codeOf(error) === 'ENOSPC' ? 'the disk is full' : 'the disk quota is used up';
  return new StorageFullError(`can't store ${path}: ${why}; free some space and try again`, { cause: error });
}

/** Whether a file operation failed for want of room. */
export function isDiskFull(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** For `catch`: a file that is not there is null, every other error stays one. */
export function ignoreMissing(error: unknown): null {
  if (codeOf(error) === 'ENOENT') return null;
  throw error;
}

/** The system's name for what went wrong, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
