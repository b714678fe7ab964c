/**
 * What a mirror keeps of packages, in one SQLite file: blobs, and for each head that is held whole which of them it is made
 * of, so that a package can be let go without what others still need.
 *
 * A head comes with all that it is made of in one transaction, and goes so with all that only it is made of: at no moment,
 * whenever the process is killed, is there a head that lacks something. That a part is there when its head is recorded is
 * a constraint of the database.
 *
 * Free pages are used again, so the file grows no larger than what was held at once; only where it is larger than it
 * may be, as after a budget was lowered, pages from its end are given back. That is why the file is made with
 * `auto_vacuum = INCREMENTAL`: a `VACUUM` would write all of it anew, and need as much room again.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { fromHex, toHex } from '../core/bytes.ts';
import { sha256 } from '../core/hash.ts';
import type { Kept } from '../core/let-go.ts';
import type { BlobStore } from './blob-store.ts';
import { BLOBS_SCHEMA, BLOBS_STATEMENTS, PUT, SqliteBlobStore } from './sqlite-blob-store.ts';
import { type OnBroken, openDatabase, type SqliteWriter, type Step } from './sqlite-writer.ts';
import { Turn } from './turn.ts';

/** A head that is held whole. `hash`: its sha256 in hex. */
export type KeptHead = Kept & { readonly hash: string };

/** A head, and the sha256 (hex) of everything that it is made of, itself included. */
export type HeadParts = { readonly name: string; readonly hash: string; readonly parts: readonly string[] };

export type HeadRecords = {
  /** Whether it is held with all that it is made of. */
  has(hash: string): boolean;
  /** The package of a head that is held; null for others. */
  nameOf(hash: string): string | null;
  /**
   * Stores blobs, and that a head is made of them and of others that are there.
   *
   * @param used unix ms
   * @throws ConflictError if it is made of something that is neither given nor there; StorageFullError
   */
  put(head: HeadParts, blobs: readonly Uint8Array[], used: number): Promise<void>;
  /** The newest heads of these packages were used, unix ms. */
  use(times: ReadonlyMap<string, number>): Promise<void>;
  /** Those not used for the longest time come first; and all that are larger than `bytes` are among them. */
  oldest(limit: number, bytes: number, except: Iterable<string>): KeptHead[];
  /** Lets heads go, with all that only they are made of. */
  drop(hashes: readonly string[]): Promise<void>;
  /** Gives pages at the file's end back that nothing uses: as many as it takes to have no more than `bytes`. */
  shrink(bytes: number): Promise<void>;
  /** Bytes in use, and bytes of the file. */
  space(): { readonly used: number; readonly file: number };
};

export type PackageStore = { readonly blobs: BlobStore; readonly heads: HeadRecords; close(): Promise<void> };

const SCHEMA = `${BLOBS_SCHEMA};
  CREATE TABLE IF NOT EXISTS heads (
    n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, name TEXT NOT NULL, used INTEGER NOT NULL, bytes INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS heads_name ON heads (name);
  CREATE INDEX IF NOT EXISTS heads_used ON heads (used);
  CREATE INDEX IF NOT EXISTS heads_bytes ON heads (bytes);
  CREATE TABLE IF NOT EXISTS parts (
    head INTEGER NOT NULL REFERENCES heads ON DELETE CASCADE, blob INTEGER NOT NULL REFERENCES blobs ON DELETE CASCADE,
    PRIMARY KEY (head, blob)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS parts_blob ON parts (blob)`;

const PUT_HEAD = BLOBS_STATEMENTS.length;
const PUT_PART = PUT_HEAD + 1;
const WEIGH = PUT_HEAD + 2;
const USE = PUT_HEAD + 3;
const DROP_PARTS = PUT_HEAD + 4;
const DROP_HEAD = PUT_HEAD + 5;
const SHRINK = PUT_HEAD + 6;
/** Pages in one transaction: a few megabytes to write. */
const SHRINK_PAGES = 1_000;

const STATEMENTS = [
  ...BLOBS_STATEMENTS,
  'INSERT INTO heads (id, name, used, bytes) VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET used = excluded.used',
  // Not OR IGNORE, which would pass over a part that is missing.
  `INSERT INTO parts VALUES ((SELECT n FROM heads WHERE id = ?), (SELECT n FROM blobs WHERE id = ?))
    ON CONFLICT DO NOTHING`,
  `UPDATE heads SET bytes = (SELECT sum(length(blobs.bytes)) FROM parts JOIN blobs ON blobs.n = blob WHERE head = heads.n)
    WHERE id = ?`,
  'UPDATE heads SET used = ?2 WHERE n = (SELECT max(n) FROM heads WHERE name = ?1)',
  `DELETE FROM blobs WHERE n IN (
    SELECT blob FROM parts AS own WHERE head = (SELECT n FROM heads WHERE id = ?)
      AND NOT EXISTS (SELECT 1 FROM parts AS other WHERE other.blob = own.blob AND other.head <> own.head)
  )`,
  'DELETE FROM heads WHERE id = ?',
  `PRAGMA incremental_vacuum(${SHRINK_PAGES})`,
];

/** Opens the store in `file`, or makes an empty one. */
export function openSqlitePackageStore(file: string, onBroken?: OnBroken): Promise<PackageStore> {
  const data = { file, schema: SCHEMA, statements: STATEMENTS, shrinks: true };
  return openDatabase(
    data,
    (writer, reader) => {
      const blobs = new SqliteBlobStore(file, writer, reader);
      const heads = new SqliteHeadRecords(writer, reader, () => blobs.forget());
      return { blobs, heads, close: () => blobs.close() };
    },
    onBroken,
  );
}

class SqliteHeadRecords implements HeadRecords {
  readonly #writer: SqliteWriter;
  readonly #reader: DatabaseSync;
  readonly #dropped: () => void;
  readonly #name: StatementSync;
  readonly #oldest: StatementSync;
  readonly #space: StatementSync;
  #lastSpace = { used: 0, file: 0 };

  /** @param dropped told of each time that blobs were removed */
  constructor(writer: SqliteWriter, reader: DatabaseSync, dropped: () => void) {
    this.#writer = writer;
    this.#reader = reader;
    this.#dropped = dropped;
    this.#name = reader.prepare('SELECT name FROM heads WHERE id = ?');
    const kept = 'SELECT n, id, name, used, bytes FROM heads';
    const others = 'name NOT IN (SELECT value FROM json_each(?2))';
    this.#oldest = reader.prepare(
      `SELECT id, name, bytes FROM (
        SELECT * FROM (${kept} WHERE ${others} ORDER BY used, n LIMIT ?1) UNION ${kept} WHERE bytes > ?3
      ) ORDER BY used, n`,
    );
    this.#space = reader.prepare(
      `SELECT page_count * page_size AS file, (page_count - freelist_count) * page_size AS used
        FROM pragma_page_count, pragma_freelist_count, pragma_page_size`,
    );
  }

  has(hash: string): boolean {
    return this.nameOf(hash) !== null;
  }

  nameOf(hash: string): string | null {
    return (this.#name.get(fromHex(hash))?.name as string | undefined) ?? null;
  }

  async put({ name, hash, parts }: HeadParts, blobs: readonly Uint8Array[], used: number): Promise<void> {
    const [id, turn] = [fromHex(hash), new Turn()];
    const steps: Step[] = [];
    for (const bytes of blobs) {
      steps.push([PUT, sha256(bytes), bytes]);
      if (turn.isSpent()) await turn.give();
    }
    steps.push([PUT_HEAD, id, name, used]);
    for (const part of new Set(parts)) steps.push([PUT_PART, id, fromHex(part)]);
    await this.#writer.transact([...steps, [WEIGH, id]]);
  }

  async use(times: ReadonlyMap<string, number>): Promise<void> {
    if (times.size > 0) await this.#writer.transact([...times].map(([name, time]): Step => [USE, name, time]));
  }

  oldest(limit: number, bytes: number, except: Iterable<string>): KeptHead[] {
    const rows = this.#oldest.all(limit, JSON.stringify([...except]), bytes);
    return rows.map(({ id, name, bytes: size }) => ({
      hash: toHex(id as Uint8Array),
      name: name as string,
      bytes: Number(size),
    }));
  }

  async drop(hashes: readonly string[]): Promise<void> {
    const steps = hashes.map(fromHex).flatMap((id): Step[] => [
      [DROP_PARTS, id],
      [DROP_HEAD, id],
    ]);
    await this.#writer.transact(steps);
    this.#dropped();
  }

  async shrink(bytes: number): Promise<void> {
    for (let now = this.space(); now.file > Math.max(bytes, now.used); ) {
      await this.#writer.transact([[SHRINK]]);
      const then = this.space();
      if (then.file >= now.file) return;
      now = then;
    }
  }

  space(): { used: number; file: number } {
    // Tarballs that are just being stored may still ask when this is closed.
    if (this.#reader.isOpen) this.#lastSpace = this.#space.get() as { used: number; file: number };
    return this.#lastSpace;
  }
}
