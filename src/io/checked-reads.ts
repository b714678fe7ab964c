/**
 * Reading the blobs of a file blob store so that nothing unchecked gets out.
 *
 * Small ones are checked whole against their hash, larger ones chunk by chunk against the hashes that were made when they
 * were stored. What was read whole stays in memory for a while, checked once: a blob of 2 MB out of memory costs a
 * fortieth of the processor time that reading and hashing it takes.
 */
import { utimes } from 'node:fs/promises';
import { concat } from '../core/bytes.ts';
import { ChunkHasher } from '../core/chunks.ts';
import { IntegrityError } from '../core/errors.ts';
import { factsOf, readIfThere } from './blob-files.ts';
import { bodyOf, checkBlob, formatBlobId, rangeWithin } from './blob-intake.ts';
import { blobPath } from './blob-path.ts';
import type { BlobId, ByteRange, OpenBlob } from './blob-store.ts';
import { ChunkLists } from './chunk-lists.ts';
import { readChecked, readWholeChecked } from './chunked-file.ts';
import type { DiskBudget } from './disk-budget.ts';
import { HotBlobs } from './hot-blobs.ts';

/** Up to this size a blob has no chunk hashes beside it. */
export const SMALL_BYTES_MAX = 1024 * 1024;
/** Up to this size a blob that is read whole stays in memory. */
export const KEPT_BYTES_MAX = 4 * 1024 * 1024;
/** The last use of a blob is noted on the disk no more often, ms. */
const USE_NOTED_MS = 60 * 60 * 1000;

export type CheckedReadsOptions = {
  /** Folder of the store. */
  readonly dir: string;
  /** Memory for what was read, in bytes. */
  readonly hotBytesMax: number;
  readonly budget: DiskBudget | null;
  /** Unix ms. */
  readonly now: () => number;
  /** Puts a blob aside that has rotted; ends before the reader learns of it. */
  readonly quarantine: (id: BlobId) => Promise<void>;
};

export class CheckedReads {
  readonly chunkLists: ChunkLists;
  readonly #options: CheckedReadsOptions;
  /** Checked bytes of blobs, and chunk lists. */
  readonly #hot: HotBlobs;
  /** Blobs that are being read to stay in memory: all who ask meanwhile get the same bytes. */
  readonly #loads = new Map<string, Promise<Uint8Array | null>>();
  #forgotten = 0;

  constructor(options: CheckedReadsOptions) {
    this.#options = options;
    this.#hot = new HotBlobs(options.hotBytesMax);
    this.chunkLists = new ChunkLists(options.dir, this.#hot);
  }

  async size(id: BlobId): Promise<number | null> {
    return this.#hot.get(formatBlobId(id))?.length ?? (await factsOf(this.#pathOf(id)))?.size ?? null;
  }

  /** @throws as `BlobStore.read` does */
  async whole(id: BlobId): Promise<Uint8Array | null> {
    const found = await this.#find(id);
    if (found === null || found instanceof Uint8Array) return found;
    if (found.size <= KEPT_BYTES_MAX) return this.#load(id, found.size);
    return concat(await Array.fromAsync(this.#bodyOf(id, found.size, { start: 0, end: found.size })));
  }

  /** @throws as `BlobStore.open` does */
  async open(id: BlobId, range?: ByteRange): Promise<OpenBlob | null> {
    const found = await this.#find(id);
    if (found === null) return null;
    const { size } = found instanceof Uint8Array ? { size: found.length } : found;
    const within = rangeWithin(size, range);
    if (size > SMALL_BYTES_MAX && !(found instanceof Uint8Array)) return { size, body: this.#bodyOf(id, size, within) };
    const bytes = found instanceof Uint8Array ? found : await this.#load(id, size);
    return bytes && { size, body: bodyOf(bytes.subarray(within.start, within.end)) };
  }

  /** The chunk list of a stored blob, or null. @throws IntegrityError */
  async chunks(id: BlobId): Promise<Uint8Array | null> {
    const size = await this.size(id);
    if (size === null) return null;
    if (size > SMALL_BYTES_MAX) return this.checking(id, this.chunkLists.get(id, size));
    const bytes = await this.whole(id);
    return bytes && new ChunkHasher().update(bytes).digest();
  }

  /** To be called after a blob was removed. What is being read of it won't come back as a memory of it. */
  forget(id: BlobId): void {
    const key = formatBlobId(id);
    this.#forgotten += 1;
    this.#hot.delete(key);
    this.#loads.delete(key);
    this.chunkLists.forget(id);
  }

  /** Puts the blob aside if this work finds that it has rotted. */
  async checking<T>(id: BlobId, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw await this.#putAside(id, error);
    }
  }

  /** Its bytes if they are in memory, else its size. */
  async #find(id: BlobId): Promise<Uint8Array | { readonly size: number } | null> {
    const { budget } = this.#options;
    const key = formatBlobId(id);
    budget?.used(key);
    const hot = this.#hot.get(key);
    if (hot !== undefined) return hot;
    const path = this.#pathOf(id);
    const facts = await factsOf(path);
    if (facts === null) return null;
    if (budget !== null) this.#noteUse(path, facts.used);
    budget?.expect(key);
    return facts;
  }

  /** For the order after the next start; a blob that is just going away needs none. */
  #noteUse(path: string, noted: number): void {
    const now = this.#options.now();
    if (now - noted > USE_NOTED_MS) utimes(path, now / 1000, now / 1000).catch(() => undefined);
  }

  #load(id: BlobId, size: number): Promise<Uint8Array | null> {
    const key = formatBlobId(id);
    const running = this.#loads.get(key);
    if (running !== undefined) return running;
    const load = this.#readAndKeep(id, size).finally(() => {
      if (this.#loads.get(key) === load) this.#loads.delete(key);
    });
    this.#loads.set(key, load);
    return load;
  }

  async #readAndKeep(id: BlobId, size: number): Promise<Uint8Array | null> {
    const key = formatBlobId(id);
    const forgotten = this.#forgotten;
    const release = this.#options.budget?.hold(key);
    try {
      const bytes = await this.checking(id, size <= SMALL_BYTES_MAX ? this.#readSmall(id) : this.#readLarge(id, size));
      if (bytes !== null && forgotten === this.#forgotten) this.#hot.set(key, bytes);
      return bytes;
    } finally {
      release?.();
      await this.#options.budget?.passed(key);
    }
  }

  async #readSmall(id: BlobId): Promise<Uint8Array | null> {
    const path = this.#pathOf(id);
    const bytes = await readIfThere(path);
    if (bytes !== null) checkBlob(id, bytes, path);
    return bytes;
  }

  async #readLarge(id: BlobId, size: number): Promise<Uint8Array> {
    return readWholeChecked(this.#pathOf(id), await this.chunkLists.get(id, size), size);
  }

  async *#bodyOf(id: BlobId, size: number, range: ByteRange): AsyncGenerator<Uint8Array> {
    const { budget } = this.#options;
    const key = formatBlobId(id);
    const release = budget?.hold(key);
    try {
      yield* readChecked(this.#pathOf(id), await this.chunkLists.get(id, size), range);
    } catch (error) {
      throw await this.#putAside(id, error);
    } finally {
      release?.();
      await budget?.passed(key);
    }
  }

  /** Gives the error back, to be thrown. */
  async #putAside(id: BlobId, error: unknown): Promise<unknown> {
    if (error instanceof IntegrityError) await this.#options.quarantine(id);
    return error;
  }

  #pathOf(id: BlobId): string {
    return blobPath(this.#options.dir, id);
  }
}
