/** Giving a received file its name in a file blob store. */
import { rename } from 'node:fs/promises';
import { factsOf } from './blob-files.ts';
import { blobPath, fanOutFolder } from './blob-path.ts';
import type { BlobId } from './blob-store.ts';
import type { ChunkLists } from './chunk-lists.ts';
import { makeFolder, syncFolder } from './durable-file.ts';

export class BlobPlacer {
  readonly #dir: string;
  readonly #chunkLists: ChunkLists;
  /** Known to be there. */
  readonly #folders = new Set<string>();

  constructor(dir: string, chunkLists: ChunkLists) {
    this.#dir = dir;
    this.#chunkLists = chunkLists;
  }

  /**
   * The steps from a complete, synced temp file to a durable blob: chunk hashes, ★ rename, folder synced.
   * @param chunks null for a blob that has none beside it
   * @returns false if the blob was there already
   */
  async place(temp: string, id: BlobId, chunks: Uint8Array | null): Promise<boolean> {
    const folder = fanOutFolder(this.#dir, id);
    if (!this.#folders.has(folder)) {
      await makeFolder(folder);
      this.#folders.add(folder);
    }
    const path = blobPath(this.#dir, id);
    const known = await factsOf(path);
    if (chunks !== null) await this.#chunkLists.put(id, chunks);
    await rename(temp, path);
    await syncFolder(folder);
    return known === null;
  }
}
