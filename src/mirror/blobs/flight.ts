/**
 * A blob on its way into the store, read along by everybody who waits for it.
 *
 * Order: a piece is on the disk before it may leave; the whole is hashed; if it is right, the store gives it its name
 * (commit point); only then may the last 64 KiB leave. A kill at any moment leaves the whole blob or nothing under its name.
 */
import { IntegrityError, reasonOf, StorageFullError } from '../../core/errors.ts';
import { CHUNK_BYTES, TARBALL_BYTES_MAX } from '../../core/limits.ts';
import type { BlobId, ByteRange, CacheBlobStore } from '../../io/blob-store.ts';
import { ReadAlong } from '../../io/read-along.ts';
import { blame, countFetch, newPull, type Pull, type PullDeps, pullBlob } from './pull-blob.ts';

/** What may leave by now. `checked`: every byte that leaves has the hash of its chunk. */
export type Ready = { readonly size: number; readonly checked: boolean };

export class Flight {
  readonly id: BlobId;
  /** The first bytes may leave; null if there won't be any. */
  readonly ready: Promise<Ready | null>;
  /** All bytes are there and right. */
  readonly whole: Promise<boolean>;
  /** What happened in the end. */
  readonly landed: Promise<Landing>;
  readonly pull: Pull;
  readonly #ready = Promise.withResolvers<Ready | null>();
  readonly #whole = Promise.withResolvers<boolean>();
  readonly #abort = new AbortController();
  #along: ReadAlong | null = null;
  #isReadable = false;
  #isWhole = false;
  #failure: unknown = null;

  constructor(deps: PullDeps & { readonly blobs: CacheBlobStore }, id: BlobId, sources: readonly string[]) {
    this.id = id;
    this.pull = newPull(id);
    this.ready = this.#ready.promise;
    this.whole = this.#whole.promise;
    this.landed = this.#fly(deps, sources);
  }

  /** Whether all bytes are there and right by now. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** Whether somebody may be reading. */
  get isReadable(): boolean {
    return this.#isReadable;
  }

  /** Why nothing more comes; null as long as it does. */
  get failure(): unknown {
    return this.#failure;
  }

  abort(reason: Error): void {
    this.#abort.abort(reason);
  }

  /**
   * The bytes of a range, as soon as they may leave.
   * @throws LandedError before the first byte if nobody reads from here any more; what has ended the flight, before a
   * byte that may not leave
   */
  async *read(range: ByteRange): AsyncGenerator<Uint8Array> {
    const along = this.#along;
    if (!along?.hold()) throw new LandedError('look into the store');
    try {
      yield* along.read(range);
    } finally {
      await along.release();
    }
  }

  async #fly(deps: PullDeps & { readonly blobs: CacheBlobStore }, sources: readonly string[]): Promise<Landing> {
    let landing: Landing;
    try {
      while (!(await this.#attempt(deps, sources))) this.#restart();
      landing = 'stored';
      countFetch(deps, this.pull.gave.at(-1) ?? '', 'stored');
    } catch (error) {
      this.#failure = error;
      landing = landingOf(error);
      noteLanding(deps, this.id, error);
    }
    this.#along?.end(this.#failure ?? new LandedError('look into the store'));
    this.#ready.resolve(null);
    this.#whole.resolve(false);
    return landing;
  }

  /** False if the bytes were wrong, and none of them has left yet. */
  async #attempt(deps: PullDeps & { readonly blobs: CacheBlobStore }, sources: readonly string[]): Promise<boolean> {
    const { id, pull } = this;
    const growing = await deps.blobs.grow(id, { maxBytes: TARBALL_BYTES_MAX, keyAlgorithm: id.algorithm });
    const along = new ReadAlong(growing);
    this.#along = along;
    try {
      for await (const piece of pullBlob(deps, pull, sources, this.#abort.signal)) {
        await growing.append(piece);
        if (pull.size !== null) this.#publish(along, Math.min(growing.size, pull.size - CHUNK_BYTES), pull.size);
      }
      const { size } = growing.check();
      const stored = growing.keep();
      // Whoever has got all of it may count on its being held; without room it is at least given out.
      await stored.catch(() => undefined);
      this.#isWhole = true;
      this.#whole.resolve(true);
      this.#publish(along, size, size);
      await stored;
      return true;
    } catch (error) {
      if (!(error instanceof IntegrityError)) throw error;
      blame(deps, pull, error);
      if (this.#isReadable) throw error;
      return false;
    } finally {
      await growing.end();
    }
  }

  #restart(): void {
    this.pull.at = 0;
    this.pull.gave = [];
    if (!this.pull.facts) this.pull.size = null;
  }

  #publish(along: ReadAlong, upTo: number, size: number): void {
    if (upTo <= 0 && size > 0) return;
    along.publish(upTo);
    this.#isReadable = upTo > 0;
    this.#ready.resolve({ size, checked: Boolean(this.pull.facts) });
  }
}

/** The flight is over and its file closed. */
export class LandedError extends Error {}

export type Landing = 'stored' | 'wrong-bytes' | 'storage-full' | 'failed';

function landingOf(error: unknown): Landing {
  if (error instanceof IntegrityError) return 'wrong-bytes';
  return error instanceof StorageFullError ? 'storage-full' : 'failed';
}

function noteLanding({ logger }: PullDeps, { hex }: BlobId, error: unknown): void {
  const reason = reasonOf(error);
  if (error instanceof StorageFullError) {
    logger.error({ blob: hex, reason }, 'no room for a blob; what is stored is still served');
  } else {
    logger.debug({ blob: hex, reason }, 'a blob could not be had');
  }
}
