/**
 * A data directory: one server's whole state, with one owner at a time and a format version.
 *
 *     format.json   what this folder is: `{ "format": 1, "role": "origin" | "mirror" }`
 *     lock          held by the server that runs on it, or by the command that looks into it (io/lock.ts)
 *     owner.json    who that is, for people; means nothing while the lock is free
 *     keys/  admin.json   (io/key-file.ts, io/admin-socket.ts)
 *
 * The stores of each role are described in io/stores.ts.
 */

import { access, constants, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { text, utf8 } from '../core/bytes.ts';
import { ConflictError, UsageError } from '../core/errors.ts';
import { fileTrouble } from '../core/file-trouble.ts';
import { makeFolder, readBounded, removeTempFiles, TEMP_SUFFIX, writeDurably } from './durable-file.ts';
import { takeLock } from './lock.ts';

export type Role = 'origin' | 'mirror';

export type DataDir = {
  /** Absolute path. */
  readonly dir: string;
  readonly role: Role;
  /** Gives the folder free. Call it last, after everything in it was closed. */
  close(): Promise<void>;
};

/** Raised by a change of what lies in a data directory that older versions could not read. */
const FORMAT = 1;
const SMALL_FILE_BYTES_MAX = 4096;
/** What a start that was cut off may leave behind before the folder has its format. */
const LEFT_BY_A_START = new Set(['lock', 'owner.json']);

/**
 * Takes a data directory, made (with mode 0700) if there is none.
 *
 * @throws ConflictError if it is in use; UsageError if the folder is something else, another role's, or of a format that
 *   this version does not know.
 */
export async function openDataDir(dir: string, role: Role): Promise<DataDir> {
  const path = resolve(dir);
  await makeDataFolder(path);
  const { release } = takeLock(join(path, 'lock')) ?? (await inUse(path));
  try {
    await checkFormat(path, role);
    await removeTempFiles(path);
    await writeDurably(join(path, 'owner.json'), utf8(`${JSON.stringify({ pid: process.pid, role })}\n`));
  } catch (error) {
    release();
    throw error;
  }
  const close = async (): Promise<void> => {
    await rm(join(path, 'owner.json'), { force: true });
    release();
  };
  return { dir: path, role, close };
}

/**
 * Makes the folder for a data directory, or for several, if it is not there.
 *
 * @throws UsageError if it can't be made, or nothing can be written there.
 */
export async function makeDataFolder(path: string): Promise<void> {
  try {
    await makeFolder(path);
    await access(path, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new UsageError(`can't keep data in ${path}: ${fileTrouble(cause)}; use another folder`, { cause });
  }
}

/**
 * Whose data directory a folder is, without taking it; null if it is none.
 *
 * @throws UsageError if its format is not known to this version.
 */
export async function roleOf(dir: string): Promise<Role | null> {
  const path = join(dir, 'format.json');
  const bytes = await readBounded(path, SMALL_FILE_BYTES_MAX);
  if (bytes === null) return null;
  const { format, role } = parseObject(bytes);
  if (format === FORMAT && (role === 'origin' || role === 'mirror')) return role;
  throw new UsageError(
    `${path} says format ${format}, role ${role}: this version knows format ${FORMAT} of an origin or mirror`,
  );
}

async function checkFormat(dir: string, role: Role): Promise<void> {
  const found = await roleOf(dir);
  if (found !== null && found !== role) {
    throw new UsageError(`${dir} is the data directory of role ${found}, not ${role}: use another folder`);
  }
  if (found !== null) return;
  const foreign = (await readdir(dir)).find((name) => !LEFT_BY_A_START.has(name) && !name.endsWith(TEMP_SUFFIX));
  if (foreign !== undefined) {
    throw new UsageError(`${dir} is not a data directory and not empty (it holds ${foreign}): use another folder`);
  }
  await writeDurably(join(dir, 'format.json'), utf8(`${JSON.stringify({ format: FORMAT, role })}\n`));
}

async function inUse(dir: string): Promise<never> {
  const owner = await readBounded(join(dir, 'owner.json'), SMALL_FILE_BYTES_MAX);
  const { role = 'process', pid = 'unknown' } = owner === null ? {} : parseObject(owner);
  throw new ConflictError(
    `${dir} is in use by a running ${role} (process ${pid}): stop it first, or use another folder`,
  );
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  try {
    return Object(JSON.parse(text(bytes)));
  } catch {
    return {};
  }
}
