/**
 * A blob store of plain files, for large blobs: tarballs. Where they lie: io/blob-path.ts.
 *
 * Life of a blob: it is written to a temp file and hashed on the way; the temp file is synced; its chunk hashes, if it is
 * large, are put beside its place; ★ the temp file is renamed to its place; the folder is synced. A crash before ★ leaves
 * a temp file, removed at the next start, and perhaps chunk hashes without a blob, which the next put replaces. After ★
 * the blob is there. Chunk hashes that got lost or damaged are made anew from a blob that still has its hash.
 *
 * Whatever is read is checked again: io/checked-reads.ts.
 */

import { join } from 'node:path';
import { IntegrityError, NotFoundError } from '../core/errors.ts';
import { blobFiles, factsOf, putAside, removeBlob } from './blob-files.ts';
import { bodyOf, checkBlob, formatBlobId, parseBlobId } from './blob-intake.ts';
import { blobPath, quarantineOf, tempFolderOf } from './blob-path.ts';
import type {
  BlobEvent,
  BlobId,
  ByteRange,
  CacheBlobStore,
  Expected,
  OpenBlob,
  PutStreamOptions,
  StoredBlob,
  StreamedBlob,
} from './blob-store.ts';
import { CheckedReads, SMALL_BYTES_MAX } from './checked-reads.ts';
import { hashChunks } from './chunked-file.ts';
import { DiskBudget } from './disk-budget.ts';
import { makeFolder, removeTempFiles, tempPathFor } from './durable-file.ts';
import { type GrowingBlob, growBlob } from './growing-blob.ts';
import { BlobPlacer } from './place-blob.ts';

const HOT_BYTES_DEFAULT = 24 * 1024 * 1024;
/** On a full disk as much as this is freed at once. */
const ROOM_BYTES_MIN = 16 * 1024 * 1024;

export type FileBlobStoreOptions = {
  /** Memory for blobs that were used lately, in bytes. Default 24 MiB. */
  readonly hotBytesMax?: number;
  /** Disk for blobs, in bytes: those not used for the longest time go first (io/disk-budget.ts). Null: no bound. */
  readonly bytesMax?: number | (() => number) | null;
  /** Unix ms. */
  readonly now?: () => number;
  /** Told of what comes and goes. */
  readonly note?: (event: BlobEvent) => void;
};

/** Opens the store in `dir`, or makes an empty one, and removes what a killed process left half-written. */
export async function openFileBlobStore(dir: string, options: FileBlobStoreOptions = {}): Promise<CacheBlobStore> {
  await makeFolder(tempFolderOf(dir));
  await makeFolder(quarantineOf(dir));
  await removeTempFiles(tempFolderOf(dir));
  return new FileBlobStore(dir, options);
}

class FileBlobStore implements CacheBlobStore {
  readonly #dir: string;
  readonly #reads: CheckedReads;
  readonly #placer: BlobPlacer;
  readonly #budget: DiskBudget | null;
  readonly #note: (event: BlobEvent) => void;
  readonly #writes = new Set<Promise<unknown>>();
  #closed = false;

  constructor(dir: string, options: FileBlobStoreOptions) {
    const { hotBytesMax = HOT_BYTES_DEFAULT, bytesMax = null, now = Date.now, note } = options;
    this.#dir = dir;
    this.#note = note ?? (() => undefined);
    const evict = (key: string) => this.#remove(parseBlobId(key), 'evicted');
    const budget = bytesMax === null ? null : new DiskBudget({ bytesMax: asFunction(bytesMax), evict, now });
    this.#budget = budget;
    const quarantine = (id: BlobId) => this.#quarantine(id);
    this.#reads = new CheckedReads({ dir, hotBytesMax, budget, now, quarantine });
    this.#placer = new BlobPlacer(dir, this.#reads.chunkLists);
    if (budget !== null) void this.#track(() => budget.learn(this.#uses()));
  }

  async has(id: BlobId): Promise<boolean> {
    return (await this.size(id)) !== null;
  }

  async size(id: BlobId): Promise<number | null> {
    this.#mustBeOpen();
    return this.#reads.size(id);
  }

  async read(id: BlobId): Promise<Uint8Array | null> {
    this.#mustBeOpen();
    return this.#reads.whole(id);
  }

  async open(id: BlobId, range?: ByteRange): Promise<OpenBlob | null> {
    this.#mustBeOpen();
    return this.#reads.open(id, range);
  }

  async putMany(blobs: readonly { readonly id: BlobId; readonly bytes: Uint8Array }[]): Promise<void> {
    this.#mustBeOpen();
    for (const { id, bytes } of blobs) checkBlob(id, bytes, 'the caller');
    await this.#track(async () => {
      for (const { id, bytes } of blobs) {
        const options = { maxBytes: bytes.length, keyAlgorithm: id.algorithm };
        if (!(await this.has(id))) await this.putStream(id, bodyOf(bytes), options);
      }
    });
  }

  putStream(expected: Expected, source: AsyncIterable<Uint8Array>, options: PutStreamOptions): Promise<StreamedBlob> {
    return this.#track(() => this.#receive(expected, source, options));
  }

  async grow(expected: Expected, options: PutStreamOptions): Promise<GrowingBlob> {
    this.#mustBeOpen();
    return this.#begin(expected, options);
  }

  async check(id: BlobId, pace?: (bytes: number) => Promise<void>): Promise<'sound' | 'rotten' | 'gone'> {
    this.#mustBeOpen();
    try {
      await this.#reads.checking(id, hashChunks(blobPath(this.#dir, id), id, pace));
      return 'sound';
    } catch (error) {
      if (error instanceof NotFoundError) return 'gone';
      if (error instanceof IntegrityError) return 'rotten';
      throw error;
    }
  }

  async chunks(id: BlobId): Promise<Uint8Array | null> {
    this.#mustBeOpen();
    return this.#reads.chunks(id);
  }

  async delete(id: BlobId): Promise<void> {
    this.#mustBeOpen();
    await this.#track(async () => {
      this.#budget?.removed(formatBlobId(id));
      await this.#remove(id, 'deleted');
    });
  }

  async trim(): Promise<void> {
    if (!this.#closed) await this.#track(async () => this.#budget?.trim());
  }

  async *list(): AsyncIterable<StoredBlob> {
    this.#mustBeOpen();
    for await (const { id, size } of blobFiles(this.#dir)) {
      this.#mustBeOpen();
      yield { id, size };
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#writes);
  }

  #begin(expected: Expected, options: PutStreamOptions): Promise<GrowingBlob> {
    const temp = tempPathFor(join(tempFolderOf(this.#dir), 'put'));
    const ended = Promise.withResolvers<void>();
    this.#writes.add(ended.promise);
    const end = () => {
      this.#writes.delete(ended.promise);
      ended.resolve();
    };
    return growBlob(expected, options, {
      temp,
      commit: (from, blob) => this.#commit(from, blob),
      ended: end,
      makeRoom: async (bytes) => (await this.#budget?.makeRoom(Math.max(bytes, ROOM_BYTES_MIN))) ?? false,
    });
  }

  async #receive(
    expected: Expected,
    source: AsyncIterable<Uint8Array>,
    options: PutStreamOptions,
  ): Promise<StreamedBlob> {
    let growing: GrowingBlob | null = null;
    try {
      // Begun inside the loop: an error thrown before it would leave the source open.
      for await (const bytes of source) {
        growing ??= await this.#begin(expected, options);
        await growing.append(bytes);
      }
      growing ??= await this.#begin(expected, options);
      const blob = growing.check();
      this.#budget?.expect(formatBlobId(blob.id));
      await growing.keep();
      return blob;
    } finally {
      await growing?.end();
    }
  }

  async #commit(temp: string, { id, size, chunks }: StreamedBlob): Promise<void> {
    const key = formatBlobId(id);
    const release = this.#budget?.hold(key);
    try {
      await this.#budget?.admit(key, size);
      const fresh = await this.#placer.place(temp, id, size > SMALL_BYTES_MAX ? chunks : null);
      if (fresh) this.#note({ kind: 'stored', size });
    } catch (error) {
      this.#budget?.removed(key);
      throw error;
    } finally {
      release?.();
    }
  }

  async #quarantine(id: BlobId): Promise<void> {
    const size = (await factsOf(blobPath(this.#dir, id)))?.size;
    await putAside(this.#dir, id);
    this.#budget?.removed(formatBlobId(id));
    this.#reads.forget(id);
    if (size !== undefined) this.#note({ kind: 'rotten', size });
  }

  async #remove(id: BlobId, kind: 'deleted' | 'evicted'): Promise<void> {
    const size = (await factsOf(blobPath(this.#dir, id)))?.size;
    await removeBlob(this.#dir, id);
    this.#reads.forget(id);
    if (size !== undefined) this.#note({ kind, size });
  }

  /** What lies there already. */
  async *#uses(): AsyncGenerator<{ key: string; size: number; used: number }> {
    for await (const { id, size, used } of blobFiles(this.#dir)) {
      if (this.#closed) return;
      yield { key: formatBlobId(id), size, used };
    }
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

const asFunction = (bytes: number | (() => number)): (() => number) =>
  typeof bytes === 'number' ? () => bytes : bytes;
