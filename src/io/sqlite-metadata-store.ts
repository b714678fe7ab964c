/**
 * A metadata store in one SQLite file: the journal, one table for all rows, and how far the fold has come.
 *
 * Keys are stored as the bytes of their UTF-8 form, so that they sort as bytes and may hold U+0000.
 * This object is the only writer, so it knows the journal's size and the fold's position without asking.
 */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { compare, concat, text, utf8 } from '../core/bytes.ts';
import { ConflictError } from '../core/errors.ts';
import { type Change, DERIVED_TABLES, type TableName, type Tables } from '../core/tables.ts';
import type { Keyed, MetadataStore, ScanOptions } from './metadata-store.ts';
import { Serial } from './serial.ts';
import { type OnBroken, openDatabase, type SqliteWriter, type Step } from './sqlite-writer.ts';
import { Turn } from './turn.ts';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS journal (at INTEGER PRIMARY KEY, entry BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS folded (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL) STRICT;
  INSERT OR IGNORE INTO folded VALUES (1, 0);
  CREATE TABLE IF NOT EXISTS rows (
    name TEXT NOT NULL, key BLOB NOT NULL, row TEXT NOT NULL, PRIMARY KEY (name, key)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TRIGGER IF NOT EXISTS row_added AFTER INSERT ON rows BEGIN
    INSERT INTO counts VALUES (new.name, 1) ON CONFLICT DO UPDATE SET n = n + 1;
  END;
  CREATE TRIGGER IF NOT EXISTS row_removed AFTER DELETE ON rows BEGIN
    UPDATE counts SET n = n - 1 WHERE name = old.name;
  END`;

const APPEND = 0;
const PUT = 1;
const REMOVE = 2;
const CLEAR = 3;
const MOVE_FOLD = 4;
const STATEMENTS = [
  'INSERT INTO journal VALUES (?, ?)',
  'INSERT INTO rows VALUES (?, CAST(? AS BLOB), ?) ON CONFLICT DO UPDATE SET row = excluded.row',
  'DELETE FROM rows WHERE name = ? AND key = CAST(? AS BLOB)',
  'DELETE FROM rows WHERE name = ?',
  'UPDATE folded SET at = ?',
];

/** Opens the store in `file`, or makes an empty one. */
export function openSqliteMetadataStore(file: string, onBroken?: OnBroken): Promise<MetadataStore> {
  const data = { file, schema: SCHEMA, statements: STATEMENTS };
  return openDatabase(data, (writer, reader) => new SqliteMetadataStore(writer, reader), onBroken);
}

class SqliteMetadataStore implements MetadataStore {
  readonly #writer: SqliteWriter;
  readonly #reader: DatabaseSync;
  readonly #entries: StatementSync;
  readonly #get: StatementSync;
  readonly #scan: StatementSync;
  readonly #count: StatementSync;
  readonly #writes = new Serial();
  readonly #turn = new Turn();
  #size: number;
  #folded: number;
  #closed = false;

  constructor(writer: SqliteWriter, reader: DatabaseSync) {
    this.#writer = writer;
    this.#reader = reader;
    this.#size = numberOf(reader, 'SELECT coalesce(max(at) + 1, 0) FROM journal');
    this.#folded = numberOf(reader, 'SELECT at FROM folded');
    this.#entries = reader.prepare('SELECT entry FROM journal WHERE at >= ? ORDER BY at LIMIT ?');
    this.#get = reader.prepare('SELECT row FROM rows WHERE name = ? AND key = ?');
    this.#scan = reader.prepare(
      'SELECT key, row FROM rows WHERE name = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?',
    );
    this.#count = reader.prepare('SELECT n FROM counts WHERE name = ?');
  }

  async size(): Promise<number> {
    this.#mustBeOpen();
    return this.#size;
  }

  append(entries: readonly Uint8Array[], expectedSize: number): Promise<void> {
    return this.#write(async () => {
      if (expectedSize !== this.#size) throw new ConflictError(journalMoved(this.#size, expectedSize));
      await this.#writer.transact(entries.map((entry, i): Step => [APPEND, expectedSize + i, entry]));
      this.#size += entries.length;
    });
  }

  async entries(from: number, limit: number): Promise<Uint8Array[]> {
    this.#mustBeOpen();
    if (this.#turn.isSpent()) await this.#turn.give();
    return this.#entries.all(from, limit).map(({ entry }) => entry as Uint8Array);
  }

  async folded(): Promise<number> {
    this.#mustBeOpen();
    return this.#folded;
  }

  fold(changes: readonly Change[], from: number, to: number): Promise<void> {
    return this.#write(async () => {
      if (from !== this.#folded) throw new ConflictError(foldMoved(this.#folded, from));
      if (to < from || to > this.#size) throw new ConflictError(foldBeyond(this.#size, from, to));
      await this.#writer.transact(foldSteps(changes, to));
      this.#folded = to;
    });
  }

  write(changes: readonly Change[]): Promise<void> {
    return this.#write(() => this.#writer.transact(stepsOf(changes)));
  }

  async get<T extends TableName>(table: T, key: string): Promise<Tables[T] | null> {
    this.#mustBeOpen();
    const found = this.#get.get(table, utf8(key));
    return found === undefined ? null : JSON.parse(found.row as string);
  }

  async scan<T extends TableName>(table: T, prefix: string, options: ScanOptions = {}): Promise<Keyed<T>[]> {
    this.#mustBeOpen();
    const [first, end] = keyRange(utf8(prefix), options.after);
    // Read at once, so that no write comes in between; only the parsing gives way.
    const found = this.#scan.all(table, first, end, options.limit ?? -1);
    const rows: Keyed<T>[] = [];
    for (const { key, row } of found) {
      rows.push({ key: text(key as Uint8Array), row: JSON.parse(row as string) });
      if (this.#turn.isSpent()) await this.#turn.give();
    }
    return rows;
  }

  async count(table: TableName): Promise<number> {
    this.#mustBeOpen();
    return Number(this.#count.get(table)?.n ?? 0);
  }

  clear(tables: readonly TableName[]): Promise<void> {
    const refold = tables.some((table) => (DERIVED_TABLES as readonly TableName[]).includes(table));
    const steps = tables.map((table): Step => [CLEAR, table]);
    return this.#write(async () => {
      await this.#writer.transact(refold ? [...steps, [MOVE_FOLD, 0]] : steps);
      if (refold) this.#folded = 0;
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writes.idle();
    // The writer last: it is the one that can take the write-ahead log into the database.
    this.#reader.close();
    await this.#writer.close();
  }

  async #write(task: () => Promise<void>): Promise<void> {
    this.#mustBeOpen();
    return this.#writes.run(task);
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new Error('the metadata store is closed');
  }
}

function* stepsOf(changes: Iterable<Change>): Generator<Step> {
  for (const { table, key, row } of changes) {
    if (!key.isWellFormed()) throw new TypeError(`key ${JSON.stringify(key)} holds half of a surrogate pair`);
    yield row === null ? [REMOVE, table, key] : [PUT, table, key, JSON.stringify(row)];
  }
}

function* foldSteps(changes: Iterable<Change>, to: number): Generator<Step> {
  yield* stepsOf(changes);
  yield [MOVE_FOLD, to];
}

/**
 * The keys to scan, as bytes: from the first (inclusive) to the end (exclusive). No byte of UTF-8 is 0xff, so all that
 * starts with the prefix sorts before prefix + 0xff; what sorts right behind a key is that key + 0x00.
 */
function keyRange(prefix: Uint8Array, after: string | undefined): [first: Uint8Array, end: Uint8Array] {
  const behind = after === undefined ? prefix : concat([utf8(after), Uint8Array.of(0)]);
  return [compare(behind, prefix) > 0 ? behind : prefix, concat([prefix, Uint8Array.of(0xff)])];
}

function numberOf(db: DatabaseSync, sql: string): number {
  return Number(Object.values(db.prepare(sql).get() ?? {})[0]);
}

const journalMoved = (size: number, expected: number) =>
  `the journal holds ${size} entries, not ${expected}: someone appended meanwhile; read them and try again`;
const foldMoved = (folded: number, from: number) => `the fold is at entry ${folded}, not ${from}`;
const foldBeyond = (size: number, from: number, to: number) =>
  `can't fold entries ${from} to ${to}: the journal holds ${size}`;
