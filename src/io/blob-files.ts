/** The files of a file blob store: looking, reading whole, listing, removing, putting aside. Where they lie: io/blob-path.ts. */
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ALGORITHMS, algorithmFolder, blobOfFile, blobPath, chunksPath, quarantineOf } from './blob-path.ts';
import type { BlobId, StoredBlob } from './blob-store.ts';
import { ignoreMissing } from './durable-file.ts';

/** Size in bytes, and unix ms of the last use as far as it was noted. */
export type FileFacts = { readonly size: number; readonly used: number };

export async function factsOf(path: string): Promise<FileFacts | null> {
  try {
    const found = await stat(path);
    return found.isFile() ? { size: found.size, used: found.mtimeMs } : null;
  } catch (error) {
    return ignoreMissing(error);
  }
}

export async function readIfThere(path: string): Promise<Uint8Array | null> {
  try {
    const { buffer, byteOffset, byteLength } = await readFile(path);
    return new Uint8Array(buffer, byteOffset, byteLength);
  } catch (error) {
    return ignoreMissing(error);
  }
}

/** Every blob in the folder of a store. */
export async function* blobFiles(dir: string): AsyncGenerator<StoredBlob & FileFacts> {
  for (const algorithm of ALGORITHMS) {
    const folder = algorithmFolder(dir, algorithm);
    for (const fanOut of await namesIn(folder)) {
      for (const name of await namesIn(join(folder, fanOut))) {
        const id = blobOfFile(algorithm, name);
        const facts = id && (await factsOf(join(folder, fanOut, name)));
        if (id !== null && facts !== null) yield { id, ...facts };
      }
    }
  }
}

export async function removeBlob(dir: string, id: BlobId): Promise<void> {
  await rm(blobPath(dir, id), { force: true });
  await rm(chunksPath(dir, id), { force: true });
}

/** Keeps what has rotted for a look, under a name that no blob has. */
export async function putAside(dir: string, id: BlobId): Promise<void> {
  const path = blobPath(dir, id);
  const aside = join(quarantineOf(dir), `${id.algorithm}-${basename(path)}.${randomBytes(4).toString('hex')}`);
  await rename(path, aside).catch(ignoreMissing);
  await rm(chunksPath(dir, id), { force: true });
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(ignoreMissing))?.sort() ?? [];
}
