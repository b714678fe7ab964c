/**
 * Content-addressed bytes: what a blob store promises, whichever way it keeps them.
 * `test/io/blob-store-contract.ts` checks every promise made here; each implementation passes it.
 *
 * Every method may be called at any time, concurrently with every other, until `close` is called; after that every
 * method rejects. A store has one owner: nothing else changes its files while it is open (see io/data-dir.ts).
 *
 * "Not there" is never an error: it is `false` or `null`. Errors are
 * - `IntegrityError`: bytes are not those of the hash they were stored or promised under;
 * - `TooLargeError`: a stream is longer than its bound;
 * - `StorageFullError`: no room. Nothing was stored, and everything stored before is still served;
 * - `TypeError`: an id that is not lower-case hex of the right length;
 * - anything else: a broken disk, a programming mistake.
 */

import type { GrowingBlob } from './growing-blob.ts';

/** The hash that names a blob, in lower-case hex. */
export type BlobId = { readonly algorithm: 'sha256' | 'sha512'; readonly hex: string };

/** The hash that a stream must turn out to have. A sha1 can be asked for, but never names a blob. */
export type Expected = { readonly algorithm: 'sha1' | 'sha256' | 'sha512'; readonly hex: string };

/** A blob that is there, with its size in bytes. */
export type StoredBlob = { readonly id: BlobId; readonly size: number };

/** What was learned of a stream while it was stored. `chunks` is the chunk list of core/chunks.ts. */
export type StreamedBlob = StoredBlob & { readonly sha512: string; readonly chunks: Uint8Array };

/** Bytes `start` (inclusive) to `end` (exclusive) of a blob. */
export type ByteRange = { readonly start: number; readonly end: number };

/** `size` is that of the whole blob, also when `body` is a range of it. */
export type OpenBlob = { readonly size: number; readonly body: AsyncIterable<Uint8Array> };

export type PutStreamOptions = {
  /** A longer stream is refused with `TooLargeError` as soon as it is seen to be longer. */
  readonly maxBytes: number;
  /** Which hash of the bytes names the blob. */
  readonly keyAlgorithm: BlobId['algorithm'];
  /** Where the bytes come from, for the message of an error: a URL, a host's id. */
  readonly from?: string;
};

export interface BlobStore {
  has(id: BlobId): Promise<boolean>;

  /** Bytes, or null if the blob is not there. */
  size(id: BlobId): Promise<number | null>;

  /**
   * The whole blob, checked against its hash, or null. The bytes may be shared with other readers: never change them.
   *
   * @throws IntegrityError if the stored bytes have rotted; the blob is then in quarantine and no longer there.
   */
  read(id: BlobId): Promise<Uint8Array | null>;

  /**
   * The blob, or a range of it, as a stream, or null. No byte is yielded before the chunk that it lies in was checked.
   * The body can be iterated once. It holds no file until its first part is asked for, so it may simply be dropped; after
   * that it stays readable when the blob is deleted, and must be read to the end or left (`break`, `return`).
   *
   * @throws IntegrityError at once or from the body, before the first wrong byte; the blob is then in quarantine, no
   *   longer there. NotFoundError from the body if the blob was deleted before the first part was asked for. RangeError
   *   if the range is not within the blob.
   */
  open(id: BlobId, range?: ByteRange): Promise<OpenBlob | null>;

  /**
   * Stores all the blobs, or, if the bytes of any are wrong, none. When this resolves every one of them is durable: it
   * survives `kill -9` and loss of power. A blob that is already there is left alone, so repeating a put is harmless.
   *
   * @throws IntegrityError if bytes don't have the hash of their id; StorageFullError.
   */
  putMany(blobs: readonly { readonly id: BlobId; readonly bytes: Uint8Array }[]): Promise<void>;

  /**
   * Stores a stream, hashed while it is written, under its own hash (`keyAlgorithm`), and only if it has the expected
   * one. When this resolves the blob is durable. On any failure, the source's own included, nothing is left behind, the
   * source is closed, and the error passes through. Concurrent puts of the same blob are harmless.
   *
   * @throws IntegrityError, TooLargeError, StorageFullError, or what the source throws.
   */
  putStream(expected: Expected, source: AsyncIterable<Uint8Array>, options: PutStreamOptions): Promise<StreamedBlob>;

  /** The chunk list of a stored blob: the SHA-256 of each of its 64 KiB chunks, one after the other; or null. */
  chunks(id: BlobId): Promise<Uint8Array | null>;

  /** Removes a blob if it is there. */
  delete(id: BlobId): Promise<void>;

  /** Everything that was there throughout; blobs that come or go meanwhile may or may not be listed. Nothing is read. */
  list(): AsyncIterable<StoredBlob>;

  /** Resolves when what was under way has ended and all files are closed. */
  close(): Promise<void>;
}

/** What a store of large blobs, which can all be fetched again, does besides. */
export interface CacheBlobStore extends BlobStore {
  /**
   * Begins to receive a blob piece by piece, to be read along meanwhile. `putStream` is this, from beginning to end.
   * A temp file exists from now on until `end` is called.
   *
   * @throws StorageFullError
   */
  grow(expected: Expected, options: PutStreamOptions): Promise<GrowingBlob>;

  /**
   * Reads a blob from the disk, memory left out, and compares it with its hash; what has rotted goes into quarantine.
   *
   * @param pace called after so many bytes; the reading goes on when it resolves
   */
  check(id: BlobId, pace?: (bytes: number) => Promise<void>): Promise<'sound' | 'rotten' | 'gone'>;

  /** Removes what is too much by now, where others share its disk budget. Does nothing once the store is closed. */
  trim(): Promise<void>;
}

/** What became of a blob in a store, for those who count. `size` in bytes. */
export type BlobEvent = { readonly kind: 'stored' | 'deleted' | 'evicted' | 'rotten'; readonly size: number };
