/** The chunk hashes that lie beside large blobs: kept, read, made anew where they got lost or damaged. */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { chunkListBytes } from '../core/chunks.ts';
import { readIfThere } from './blob-files.ts';
import { formatBlobId } from './blob-intake.ts';
import { blobPath, chunksPath, tempFolderOf } from './blob-path.ts';
import type { BlobId } from './blob-store.ts';
import { formatChunkFile, hashChunks, parseChunkFile } from './chunked-file.ts';
import { tempPathFor, writeSynced } from './durable-file.ts';
import type { HotBlobs } from './hot-blobs.ts';

export class ChunkLists {
  readonly #dir: string;
  readonly #hot: HotBlobs;

  /** @param dir of the store */
  constructor(dir: string, hot: HotBlobs) {
    this.#dir = dir;
    this.#hot = hot;
  }

  /**
   * The chunk list of a stored blob of this size, made anew from a blob that still has its hash if need be.
   * @throws IntegrityError if it has not; NotFoundError if it is gone
   */
  async get(id: BlobId, size: number): Promise<Uint8Array> {
    const hot = this.#hot.get(keyOf(id));
    // A file that was cut short since has another size.
    if (hot?.length === chunkListBytes(size)) return hot;
    const stored = await readIfThere(chunksPath(this.#dir, id));
    const list = (stored && parseChunkFile(stored, size)) ?? (await this.#makeAnew(id));
    this.#hot.set(keyOf(id), list);
    return list;
  }

  async put(id: BlobId, list: Uint8Array): Promise<void> {
    const temp = tempPathFor(join(tempFolderOf(this.#dir), 'put'));
    try {
      await writeSynced(temp, formatChunkFile(list));
      await rename(temp, chunksPath(this.#dir, id));
    } catch (error) {
      await rm(temp, { force: true });
      throw error;
    }
  }

  /** Out of memory only. */
  forget(id: BlobId): void {
    this.#hot.delete(keyOf(id));
  }

  async #makeAnew(id: BlobId): Promise<Uint8Array> {
    const list = await hashChunks(blobPath(this.#dir, id), id);
    // Without room for it the blob can still be read: the list is made again next time.
    await this.put(id, list).catch(() => undefined);
    return list;
  }
}

const keyOf = (id: BlobId): string => `${formatBlobId(id)} chunks`;
