import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Machine } from './client-run.ts';

/** Notes that package managers make for themselves beside the packages, and scripts with the machine's own paths in them. */
const ownNotes =
  /(?:^|\/)(?:\.bin\/.*|\.package-lock\.json|\.modules\.yaml|\.yarn-integrity|\.pnpm-workspace-state.*\.json|\.deno\/.*\.lock|\.setup-cache\.bin|\.deno\/\.deno\.lock.*|\.initialized|lock\.yaml)$/;

/** `hash`: sha256 in hex; `size` in bytes. */
interface InstalledFile {
  readonly hash: string;
  readonly size: number;
}

/** What an install left of its packages, by path. */
export type InstalledFiles = ReadonlyMap<string, InstalledFile>;

/** Reads every file that a client has put in place for the application. Empty before the first install. */
export async function installedFiles({ client, project, home }: Machine): Promise<InstalledFiles> {
  const root = client.store ? join(home, client.store) : join(project, 'node_modules');
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(noneIfMissing);
  const paths = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const files = await Promise.all(
    paths.map(async (path) => [relative(root, path), infoOf(await readFile(path))] as const),
  );
  return new Map(files.filter(([path]) => !ownNotes.test(path)));
}

/** Paths of files whose content no right install has. */
export function wrongFiles(found: InstalledFiles, right: InstalledFiles): string[] {
  const known = new Set([...right.values()].map(({ hash }) => hash));
  return [...found].filter(([, { hash }]) => !known.has(hash)).map(([path]) => path);
}

/** Paths of files that lack their end; null if anything else is wrong, too, or missing, or too much. */
export function cutShort(found: InstalledFiles, right: InstalledFiles): string[] | null {
  const differing = [...new Set([...found.keys(), ...right.keys()])].filter(
    (path) => found.get(path)?.hash !== right.get(path)?.hash,
  );
  const isShorter = (path: string) => (found.get(path)?.size ?? Infinity) < (right.get(path)?.size ?? 0);
  return differing.every(isShorter) ? differing : null;
}

/** Fails unless each file is there and right. */
export function assertSameFiles(found: InstalledFiles, right: InstalledFiles): void {
  assert.deepEqual(sorted(found), sorted(right));
}

function sorted(files: InstalledFiles): [string, InstalledFile][] {
  return [...files].sort(([a], [b]) => (a < b ? -1 : 1));
}

function infoOf(bytes: Uint8Array): InstalledFile {
  return { hash: createHash('sha256').update(bytes).digest('hex'), size: bytes.length };
}

function noneIfMissing(error: NodeJS.ErrnoException): [] {
  if (error.code === 'ENOENT') return [];
  throw error;
}
