import { mkdir, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { run } from './run.ts';
import { tempFolder } from './temp-folder.ts';

/** A file system of its own that can be full. */
export interface SmallDisk {
  /** A folder on it. */
  readonly folder: string;
  /** Leaves no room for anything. */
  fill(): Promise<void>;
  /** Makes room again. */
  free(): Promise<void>;
}

/**
 * Mounts a file system in memory; it goes with the test.
 * @returns why that can't be done here, for lack of rights for instance
 */
export async function mountSmallDisk(t: Pick<TestContext, 'after'>, megabytes: number): Promise<SmallDisk | string> {
  const place = tempFolder();
  const options = { cwd: place, env: { PATH: process.env.PATH } };
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', place], options).catch(
    String,
  );
  if (typeof mounted === 'string') return mounted;
  if (mounted.code !== 0) return mounted.stderr.trim();
  // Lazily: a server that is being killed may still have files open there.
  t.after(() => run('umount', ['-l', place], { ...options, cwd: '/' }));
  const folder = join(place, 'data');
  await mkdir(folder);
  const filler = join(place, 'filler');
  return { folder, fill: () => fillUp(filler), free: () => rm(filler) };
}

async function fillUp(path: string): Promise<void> {
  const { bavail, bsize } = await statfs(join(path, '..'));
  const file = await open(path, 'w');
  try {
    for (let blocks = bavail; blocks > 0; blocks = Math.floor(blocks / 2)) await writeUntilFull(file, blocks * bsize);
  } finally {
    await file.close();
  }
}

async function writeUntilFull(file: Awaited<ReturnType<typeof open>>, bytes: number): Promise<void> {
  try {
    await file.write(Buffer.alloc(bytes));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}
