/**
 * A blob store in one SQLite file, for many small blobs: manifests, heads, pages. A put of any number of blobs is one
 * transaction, thus one wait for the disk. A blob is in memory whole whenever it is touched, so large ones belong in
 * files (io/file-blob-store.ts).
 */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { concat, toHex } from '../core/bytes.ts';
import { ChunkHasher } from '../core/chunks.ts';
import { BlobIntake, bodyOf, checkBlob, digestOf, formatBlobId, rangeWithin } from './blob-intake.ts';
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
import { HotBlobs } from './hot-blobs.ts';
import { type OnBroken, openDatabase, type SqliteWriter, type Step } from './sqlite-writer.ts';
import { Turn } from './turn.ts';

/** `id` is the digest: 32 bytes for a sha256, 64 for a sha512. What rotted moves to `quarantine`. */
export const BLOBS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS blobs (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, bytes BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS quarantine (n INTEGER PRIMARY KEY, id BLOB NOT NULL, bytes BLOB NOT NULL) STRICT`;

export const PUT = 0;
const KEEP_ASIDE = 1;
const REMOVE = 2;
export const BLOBS_STATEMENTS: readonly string[] = [
  'INSERT OR IGNORE INTO blobs (id, bytes) VALUES (?, ?)',
  'INSERT INTO quarantine (id, bytes) SELECT id, bytes FROM blobs WHERE id = ?',
  'DELETE FROM blobs WHERE id = ?',
];

const LIST_ROWS = 500;
const HOT_BYTES_DEFAULT = 4 * 1024 * 1024;
const HOT_BLOB_BYTES_MAX = 256 * 1024;

export type SqliteBlobStoreOptions = {
  /** Memory for blobs that were used lately, in bytes. Default 4 MiB. */
  readonly hotBytesMax?: number;
  readonly onBroken?: OnBroken;
};

/** Opens the store in `file`, or makes an empty one. */
export function openSqliteBlobStore(file: string, options: SqliteBlobStoreOptions = {}): Promise<BlobStore> {
  const data = { file, schema: BLOBS_SCHEMA, statements: BLOBS_STATEMENTS };
  const { hotBytesMax = HOT_BYTES_DEFAULT, onBroken } = options;
  return openDatabase(data, (writer, reader) => new SqliteBlobStore(file, writer, reader, hotBytesMax), onBroken);
}

/** Over an open database that has its tables; closing it closes the database. */
export class SqliteBlobStore implements BlobStore {
  readonly #file: string;
  readonly #writer: SqliteWriter;
  readonly #reader: DatabaseSync;
  readonly #size: StatementSync;
  readonly #bytes: StatementSync;
  readonly #list: StatementSync;
  readonly #hot: HotBlobs;
  readonly #turn = new Turn();
  #closed = false;

  constructor(file: string, writer: SqliteWriter, reader: DatabaseSync, hotBytesMax = HOT_BYTES_DEFAULT) {
    this.#file = file;
    this.#writer = writer;
    this.#reader = reader;
    this.#hot = new HotBlobs(hotBytesMax);
    this.#size = reader.prepare('SELECT length(bytes) AS size FROM blobs WHERE id = ?');
    this.#bytes = reader.prepare('SELECT bytes FROM blobs WHERE id = ?');
    this.#list = reader.prepare('SELECT n, id, length(bytes) AS size FROM blobs WHERE n > ? ORDER BY n LIMIT ?');
  }

  async has(id: BlobId): Promise<boolean> {
    return (await this.size(id)) !== null;
  }

  async size(id: BlobId): Promise<number | null> {
    this.#mustBeOpen();
    const digest = digestOf(id);
    if (this.#turn.isSpent()) await this.#turn.give();
    this.#mustBeOpen();
    const found = this.#size.get(digest);
    return found === undefined ? null : Number(found.size);
  }

  async read(id: BlobId): Promise<Uint8Array | null> {
    this.#mustBeOpen();
    const digest = digestOf(id);
    const hot = this.#hot.get(id.hex);
    if (hot !== undefined) return hot;
    if (this.#turn.isSpent()) await this.#turn.give();
    this.#mustBeOpen();
    const bytes = this.#bytes.get(digest)?.bytes as Uint8Array | undefined;
    if (bytes === undefined) return null;
    await this.#check(id, bytes);
    if (bytes.length <= HOT_BLOB_BYTES_MAX) this.#hot.set(id.hex, bytes);
    return bytes;
  }

  async open(id: BlobId, range?: ByteRange): Promise<OpenBlob | null> {
    const bytes = await this.read(id);
    if (bytes === null) return null;
    const { start, end } = rangeWithin(bytes.length, range);
    return { size: bytes.length, body: bodyOf(bytes.subarray(start, end)) };
  }

  async putMany(blobs: readonly { readonly id: BlobId; readonly bytes: Uint8Array }[]): Promise<void> {
    this.#mustBeOpen();
    for (const { id, bytes } of blobs) {
      checkBlob(id, bytes, 'the caller');
      if (this.#turn.isSpent()) await this.#turn.give();
    }
    this.#mustBeOpen();
    const missing = blobs.filter(({ id }) => this.#size.get(digestOf(id)) === undefined);
    if (missing.length === 0) return;
    await this.#writer.transact(missing.map(({ id, bytes }): Step => [PUT, digestOf(id), bytes]));
  }

  async putStream(
    expected: Expected,
    source: AsyncIterable<Uint8Array>,
    options: PutStreamOptions,
  ): Promise<StreamedBlob> {
    const intake = new BlobIntake(expected, options);
    const parts: Uint8Array[] = [];
    for await (const part of source) {
      this.#mustBeOpen();
      intake.update(part);
      parts.push(new Uint8Array(part));
    }
    const blob = intake.finish();
    await this.putMany([{ id: blob.id, bytes: concat(parts) }]);
    return blob;
  }

  async chunks(id: BlobId): Promise<Uint8Array | null> {
    const bytes = await this.read(id);
    return bytes === null ? null : new ChunkHasher().update(bytes).digest();
  }

  async delete(id: BlobId): Promise<void> {
    this.#mustBeOpen();
    this.#hot.delete(id.hex);
    await this.#writer.transact([[REMOVE, digestOf(id)]]);
    // A read that began before the row was gone may have warmed it again.
    this.#hot.delete(id.hex);
  }

  /** To be called after others have removed blobs from the database. */
  forget(): void {
    this.#hot.clear();
  }

  async *list(): AsyncIterable<StoredBlob> {
    for (let after: unknown = 0; ; ) {
      this.#mustBeOpen();
      const rows = this.#list.all(after as number, LIST_ROWS);
      for (const { id, size } of rows) yield { id: idOf(id as Uint8Array), size: Number(size) };
      if (rows.length < LIST_ROWS) return;
      after = rows.at(-1)?.n;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // The writer last: it is the one that can take the write-ahead log into the database.
    this.#reader.close();
    await this.#writer.close();
  }

  async #check(id: BlobId, bytes: Uint8Array): Promise<void> {
    try {
      checkBlob(id, bytes, `${this.#file}, blob ${formatBlobId(id)}`);
    } catch (error) {
      const digest = digestOf(id);
      await this.#writer.transact([
        [KEEP_ASIDE, digest],
        [REMOVE, digest],
      ]);
      throw error;
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new Error(`the blob store ${this.#file} is closed`);
  }
}

function idOf(digest: Uint8Array): BlobId {
  return { algorithm: digest.length === 64 ? 'sha512' : 'sha256', hex: toHex(digest) };
}
