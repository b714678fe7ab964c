/**
 * A blob store of plain files, for large blobs: tarballs. Where they lie: io/blob-path.ts.
 *
 * Life of a blob: it is written to a temp file and hashed on the way; the temp file is synced; its chunk hashes, if it is
 * large, are put beside its place; ★ the temp file is renamed to its place; the folder is synced. A crash before ★ leaves
 * a temp file, removed at the next start, and perhaps chunk hashes without a blob, which the next put replaces. After ★
 * the blob is there. Chunk hashes that got lost or damaged are made anew from a blob that still has its hash.
 *
 * Small blobs are checked whole when they are read, then kept in memory for a while. Large ones are checked chunk by
 * chunk while they are sent.
 */

import { randomBytes } from 'node:crypto';
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { concat } from '../core/bytes.ts';
import { ChunkHasher } from '../core/chunks.ts';
import { IntegrityError } from '../core/errors.ts';
import { BlobIntake, bodyOf, checkBlob, formatBlobId, rangeWithin } from './blob-intake.ts';
import {
  ALGORITHMS,
  algorithmFolder,
  blobOfFile,
  blobPath,
  chunksPath,
  fanOutFolder,
  quarantineOf,
  tempFolderOf,
} from './blob-path.ts';
import type {
  BlobId,
  BlobStore,
  ByteRange,
  Expected,
  OpenBlob,
  PutStreamOptions,
  StoredBlob,
  StreamedBlob,
} from './blob-store.ts';
import { formatChunkFile, hashChunks, parseChunkFile, readChecked, receiveFile } from './chunked-file.ts';
import {
  ignoreMissing,
  makeFolder,
  removeTempFiles,
  storageError,
  syncFolder,
  tempPathFor,
  writeSynced,
} from './durable-file.ts';
import { HotBlobs } from './hot-blobs.ts';

/** Up to this size a blob is read and checked whole, has no chunk hashes beside it, and may stay in memory. */
const SMALL_BYTES_MAX = 1024 * 1024;
const HOT_BYTES_DEFAULT = 64 * 1024 * 1024;

export type FileBlobStoreOptions = {
  /** Memory for small blobs that were used lately, in bytes. Default 64 MiB. */
  readonly hotBytesMax?: number;
};

/** Opens the store in `dir`, or makes an empty one, and removes what a killed process left half-written. */
export async function openFileBlobStore(dir: string, options: FileBlobStoreOptions = {}): Promise<BlobStore> {
  await makeFolder(tempFolderOf(dir));
  await makeFolder(quarantineOf(dir));
  await removeTempFiles(tempFolderOf(dir));
  return new FileBlobStore(dir, options.hotBytesMax ?? HOT_BYTES_DEFAULT);
}

class FileBlobStore implements BlobStore {
  readonly #dir: string;
  /** Verified bytes of small blobs, and chunk lists of large ones under {@link chunksKey}. */
  readonly #hot: HotBlobs;
  readonly #folders = new Set<string>();
  readonly #writes = new Set<Promise<unknown>>();
  #removals = 0;
  #closed = false;

  constructor(dir: string, hotBytesMax: number) {
    this.#dir = dir;
    this.#hot = new HotBlobs(hotBytesMax);
  }

  async has(id: BlobId): Promise<boolean> {
    return (await this.size(id)) !== null;
  }

  async size(id: BlobId): Promise<number | null> {
    this.#mustBeOpen();
    return this.#hot.get(formatBlobId(id))?.length ?? (await sizeOf(blobPath(this.#dir, id)));
  }

  async read(id: BlobId): Promise<Uint8Array | null> {
    const opened = await this.#openOrHot(id);
    if (opened === null || opened instanceof Uint8Array) return opened;
    const parts: Uint8Array[] = [];
    for await (const part of opened.body) parts.push(part);
    return concat(parts);
  }

  async open(id: BlobId, range?: ByteRange): Promise<OpenBlob | null> {
    const opened = await this.#openOrHot(id, range);
    if (!(opened instanceof Uint8Array)) return opened;
    const { start, end } = rangeWithin(opened.length, range);
    return { size: opened.length, body: bodyOf(opened.subarray(start, end)) };
  }

  async putMany(blobs: readonly { readonly id: BlobId; readonly bytes: Uint8Array }[]): Promise<void> {
    this.#mustBeOpen();
    for (const { id, bytes } of blobs) checkBlob(id, bytes, 'the caller');
    await this.#track(async () => {
      for (const { id, bytes } of blobs) {
        if (!(await this.has(id))) await this.#putBytes(id, bytes);
      }
    });
  }

  putStream(expected: Expected, source: AsyncIterable<Uint8Array>, options: PutStreamOptions): Promise<StreamedBlob> {
    return this.#track(() =>
      this.#withTempFile(async (temp) => {
        const intake = new BlobIntake(expected, options);
        await receiveFile(temp, source, intake);
        const blob = intake.finish();
        await this.#commit(temp, blob.id, blob.size, blob.chunks);
        return blob;
      }),
    );
  }

  async chunks(id: BlobId): Promise<Uint8Array | null> {
    const size = await this.size(id);
    if (size === null) return null;
    if (size > SMALL_BYTES_MAX) return this.#chunkList(id, size);
    const bytes = await this.read(id);
    return bytes === null ? null : new ChunkHasher().update(bytes).digest();
  }

  async delete(id: BlobId): Promise<void> {
    this.#mustBeOpen();
    await this.#track(async () => {
      await rm(blobPath(this.#dir, id), { force: true });
      await rm(chunksPath(this.#dir, id), { force: true });
      this.#forget(id);
    });
  }

  async *list(): AsyncIterable<StoredBlob> {
    for (const algorithm of ALGORITHMS) {
      const folder = algorithmFolder(this.#dir, algorithm);
      for (const fanOut of await namesIn(folder)) {
        for (const name of await namesIn(join(folder, fanOut))) {
          this.#mustBeOpen();
          const id = blobOfFile(algorithm, name);
          const size = id && (await sizeOf(join(folder, fanOut, name)));
          if (id !== null && size !== null) yield { id, size };
        }
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#writes);
  }

  /** A small blob as its bytes, a large one as a stream. */
  async #openOrHot(id: BlobId, range?: ByteRange): Promise<Uint8Array | OpenBlob | null> {
    this.#mustBeOpen();
    const path = blobPath(this.#dir, id);
    const hot = this.#hot.get(formatBlobId(id));
    if (hot !== undefined) return hot;
    const size = await sizeOf(path);
    if (size === null) return null;
    if (size <= SMALL_BYTES_MAX) return this.#readSmall(id, path);
    return { size, body: this.#bodyOf(id, size, rangeWithin(size, range)) };
  }

  async #readSmall(id: BlobId, path: string): Promise<Uint8Array | null> {
    const removals = this.#removals;
    const bytes = await readIfThere(path);
    if (bytes === null) return null;
    try {
      checkBlob(id, bytes, path);
    } catch (error) {
      throw await this.#quarantined(id, error);
    }
    // What was deleted while it was read must not come back as a memory of it.
    if (removals === this.#removals) this.#hot.set(formatBlobId(id), bytes);
    return bytes;
  }

  async *#bodyOf(id: BlobId, size: number, range: ByteRange): AsyncGenerator<Uint8Array> {
    try {
      yield* readChecked(blobPath(this.#dir, id), await this.#chunkList(id, size), range);
    } catch (error) {
      throw await this.#quarantined(id, error);
    }
  }

  /** Of a large blob: what lies beside it, or, if that is missing or damaged, made anew from the blob itself. */
  async #chunkList(id: BlobId, size: number): Promise<Uint8Array> {
    const hot = this.#hot.get(chunksKey(id));
    if (hot !== undefined) return hot;
    const stored = await readIfThere(chunksPath(this.#dir, id));
    const list = (stored && parseChunkFile(stored, size)) ?? (await this.#repairChunkFile(id));
    this.#hot.set(chunksKey(id), list);
    return list;
  }

  async #repairChunkFile(id: BlobId): Promise<Uint8Array> {
    const list = await hashChunks(blobPath(this.#dir, id), id).catch(async (error) => {
      throw await this.#quarantined(id, error);
    });
    await this.#track(() => this.#putChunkFile(id, list));
    return list;
  }

  async #putBytes(id: BlobId, bytes: Uint8Array): Promise<void> {
    await this.#withTempFile(async (temp) => {
      await writeSynced(temp, bytes);
      const chunks = bytes.length > SMALL_BYTES_MAX ? new ChunkHasher().update(bytes).digest() : null;
      await this.#commit(temp, id, bytes.length, chunks);
    });
  }

  /** The steps from a complete, synced temp file to a durable blob, in the order that the head of this file explains. */
  async #commit(temp: string, id: BlobId, size: number, chunks: Uint8Array | null): Promise<void> {
    const folder = fanOutFolder(this.#dir, id);
    if (!this.#folders.has(folder)) {
      await makeFolder(folder);
      this.#folders.add(folder);
    }
    if (chunks !== null && size > SMALL_BYTES_MAX) await this.#putChunkFile(id, chunks);
    await rename(temp, blobPath(this.#dir, id));
    await syncFolder(folder);
  }

  async #putChunkFile(id: BlobId, list: Uint8Array): Promise<void> {
    await this.#withTempFile(async (temp) => {
      await writeSynced(temp, formatChunkFile(list));
      await rename(temp, chunksPath(this.#dir, id));
    });
  }

  async #withTempFile<T>(work: (temp: string) => Promise<T>): Promise<T> {
    const temp = tempPathFor(join(tempFolderOf(this.#dir), 'put'));
    try {
      return await work(temp);
    } catch (error) {
      await rm(temp, { force: true });
      throw storageError(error, `a blob in ${this.#dir}`);
    }
  }

  /** Puts a blob aside if this error says that it has rotted; gives the error back, to be thrown. */
  async #quarantined(id: BlobId, error: unknown): Promise<unknown> {
    if (error instanceof IntegrityError) await this.#quarantine(id);
    return error;
  }

  async #quarantine(id: BlobId): Promise<void> {
    const path = blobPath(this.#dir, id);
    const aside = join(quarantineOf(this.#dir), `${id.algorithm}-${basename(path)}.${randomBytes(4).toString('hex')}`);
    await rename(path, aside).catch(ignoreMissing);
    await rm(chunksPath(this.#dir, id), { force: true });
    this.#forget(id);
  }

  #forget(id: BlobId): void {
    this.#removals += 1;
    this.#hot.delete(formatBlobId(id));
    this.#hot.delete(chunksKey(id));
  }

  /** Lets `close` wait for the work. */
  async #track<T>(work: () => Promise<T>): Promise<T> {
    this.#mustBeOpen();
    const running = work();
    this.#writes.add(running);
    try {
      return await running;
    } finally {
      this.#writes.delete(running);
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new Error(`the blob store ${this.#dir} is closed`);
  }
}

const chunksKey = (id: BlobId): string => `${formatBlobId(id)} chunks`;

async function sizeOf(path: string): Promise<number | null> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : null;
  } catch (error) {
    return ignoreMissing(error);
  }
}

async function readIfThere(path: string): Promise<Uint8Array | null> {
  try {
    const { buffer, byteOffset, byteLength } = await readFile(path);
    return new Uint8Array(buffer, byteOffset, byteLength);
  } catch (error) {
    return ignoreMissing(error);
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(ignoreMissing))?.sort() ?? [];
}
