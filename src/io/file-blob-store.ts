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

import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { concat } from '../core/bytes.ts';
import { ChunkHasher } from '../core/chunks.ts';
import { IntegrityError, NotFoundError } from '../core/errors.ts';
import { blobFiles, factsOf, putAside, readIfThere, removeBlob } from './blob-files.ts';
import { bodyOf, checkBlob, formatBlobId, parseBlobId, rangeWithin } from './blob-intake.ts';
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
import { ChunkLists } from './chunk-lists.ts';
import { hashChunks, readChecked } from './chunked-file.ts';
import { DiskBudget } from './disk-budget.ts';
import { makeFolder, removeTempFiles, tempPathFor } from './durable-file.ts';
import { type GrowingBlob, growBlob } from './growing-blob.ts';
import { HotBlobs } from './hot-blobs.ts';
import { BlobPlacer } from './place-blob.ts';

/** Up to this size a blob is read and checked whole, has no chunk hashes beside it, and may stay in memory. */
const SMALL_BYTES_MAX = 1024 * 1024;
const HOT_BYTES_DEFAULT = 64 * 1024 * 1024;
/** On a full disk as much as this is freed at once. */
const ROOM_BYTES_MIN = 16 * 1024 * 1024;
/** The last use of a blob is noted on the disk no more often, ms. */
const USE_NOTED_MS = 60 * 60 * 1000;

export type FileBlobStoreOptions = {
  /** Memory for small blobs that were used lately, in bytes. Default 64 MiB. */
  readonly hotBytesMax?: number;
  /** Disk for blobs, in bytes: those not used for the longest time go first (io/disk-budget.ts). Null: no bound. */
  readonly bytesMax?: number | null;
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
  /** Verified bytes of small blobs, and chunk lists of large ones. */
  readonly #hot: HotBlobs;
  readonly #chunkLists: ChunkLists;
  readonly #placer: BlobPlacer;
  readonly #budget: DiskBudget | null;
  readonly #now: () => number;
  readonly #note: (event: BlobEvent) => void;
  readonly #writes = new Set<Promise<unknown>>();
  #removals = 0;
  #closed = false;

  constructor(dir: string, { hotBytesMax = HOT_BYTES_DEFAULT, bytesMax = null, now, note }: FileBlobStoreOptions) {
    this.#dir = dir;
    this.#hot = new HotBlobs(hotBytesMax);
    this.#chunkLists = new ChunkLists(dir, this.#hot);
    this.#placer = new BlobPlacer(dir, this.#chunkLists);
    this.#now = now ?? Date.now;
    this.#note = note ?? (() => undefined);
    const evict = (key: string) => this.#remove(parseBlobId(key), 'evicted');
    const budget = bytesMax === null ? null : new DiskBudget({ bytesMax, evict, now: this.#now });
    this.#budget = budget;
    if (budget !== null) void this.#track(() => budget.learn(this.#uses()));
  }

  async has(id: BlobId): Promise<boolean> {
    return (await this.size(id)) !== null;
  }

  async size(id: BlobId): Promise<number | null> {
    this.#mustBeOpen();
    return this.#hot.get(formatBlobId(id))?.length ?? (await factsOf(blobPath(this.#dir, id)))?.size ?? null;
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
      await this.#quarantining(id, hashChunks(blobPath(this.#dir, id), id, pace));
      return 'sound';
    } catch (error) {
      if (error instanceof NotFoundError) return 'gone';
      if (error instanceof IntegrityError) return 'rotten';
      throw error;
    }
  }

  async chunks(id: BlobId): Promise<Uint8Array | null> {
    const size = await this.size(id);
    if (size === null) return null;
    if (size > SMALL_BYTES_MAX) return this.#quarantining(id, this.#chunkLists.get(id, size));
    const bytes = await this.read(id);
    return bytes === null ? null : new ChunkHasher().update(bytes).digest();
  }

  async delete(id: BlobId): Promise<void> {
    this.#mustBeOpen();
    await this.#track(async () => {
      this.#budget?.removed(formatBlobId(id));
      await this.#remove(id, 'deleted');
    });
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

  /** A small blob as its bytes, a large one as a stream. */
  async #openOrHot(id: BlobId, range?: ByteRange): Promise<Uint8Array | OpenBlob | null> {
    this.#mustBeOpen();
    const key = formatBlobId(id);
    this.#budget?.used(key);
    const hot = this.#hot.get(key);
    if (hot !== undefined) return hot;
    const path = blobPath(this.#dir, id);
    const facts = await factsOf(path);
    if (facts === null) return null;
    if (this.#budget !== null) this.#noteUse(path, facts.used);
    this.#budget?.expect(key);
    if (facts.size <= SMALL_BYTES_MAX) return this.#readSmall(id, path);
    return { size: facts.size, body: this.#bodyOf(id, facts.size, rangeWithin(facts.size, range)) };
  }

  /** For the order after the next start; a blob that is just going away needs none. */
  #noteUse(path: string, noted: number): void {
    const now = this.#now();
    if (now - noted > USE_NOTED_MS) utimes(path, now / 1000, now / 1000).catch(() => undefined);
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
    await this.#budget?.passed(formatBlobId(id));
    return bytes;
  }

  async *#bodyOf(id: BlobId, size: number, range: ByteRange): AsyncGenerator<Uint8Array> {
    const key = formatBlobId(id);
    const release = this.#budget?.hold(key);
    try {
      yield* readChecked(blobPath(this.#dir, id), await this.#chunkLists.get(id, size), range);
    } catch (error) {
      throw await this.#quarantined(id, error);
    } finally {
      release?.();
      await this.#budget?.passed(key);
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

  /** Puts a blob aside if this work finds that it has rotted. */
  async #quarantining<T>(id: BlobId, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw await this.#quarantined(id, error);
    }
  }

  /** Puts a blob aside if this error says that it has rotted; gives the error back, to be thrown. */
  async #quarantined(id: BlobId, error: unknown): Promise<unknown> {
    if (error instanceof IntegrityError) await this.#quarantine(id);
    return error;
  }

  async #quarantine(id: BlobId): Promise<void> {
    const size = (await factsOf(blobPath(this.#dir, id)))?.size;
    await putAside(this.#dir, id);
    this.#budget?.removed(formatBlobId(id));
    this.#forget(id);
    if (size !== undefined) this.#note({ kind: 'rotten', size });
  }

  async #remove(id: BlobId, kind: 'deleted' | 'evicted'): Promise<void> {
    const size = (await factsOf(blobPath(this.#dir, id)))?.size;
    await removeBlob(this.#dir, id);
    this.#forget(id);
    if (size !== undefined) this.#note({ kind, size });
  }

  /** What lies there already. */
  async *#uses(): AsyncGenerator<{ key: string; size: number; used: number }> {
    for await (const { id, size, used } of blobFiles(this.#dir)) {
      if (this.#closed) return;
      yield { key: formatBlobId(id), size, used };
    }
  }

  #forget(id: BlobId): void {
    this.#removals += 1;
    this.#hot.delete(formatBlobId(id));
    this.#chunkLists.forget(id);
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
