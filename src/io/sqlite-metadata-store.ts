/**
 * A metadata store in one SQLite file: the journal, its tree, one table for all rows, and how far the fold has come.
 *
 * Keys are stored as the bytes of their UTF-8 form, so that they sort as bytes and may hold U+0000.
 * Nothing that is compared is remembered here: a compare-and-swap is an UPDATE that would put NULL where none may stand
 * unless the stored value is the expected one, so that SQLite itself refuses, whoever else has the file open.
 */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { compare, concat, text, toHex, utf8 } from '../core/bytes.ts';
import { ConflictError } from '../core/errors.ts';
import type { TreeHead } from '../core/merkle.ts';
import { type Change, DERIVED_TABLES, type TableName, type Tables } from '../core/tables.ts';
import type { Growth, Keyed, MetadataStore, ScanOptions } from './metadata-store.ts';
import { Serial } from './serial.ts';
import { type OnBroken, openDatabase, type SqliteWriter, type Step } from './sqlite-writer.ts';
import { Turn } from './turn.ts';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS journal (at INTEGER PRIMARY KEY, entry BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS tree (
    one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL CHECK (length(root) = 32)
  ) STRICT;
  INSERT OR IGNORE INTO tree VALUES (1, 0, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  CREATE TABLE IF NOT EXISTS tiles (
    level INTEGER NOT NULL, at INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (level, at)
  ) STRICT;
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
const REFOLD = 5;
const PUT_TILE = 6;
const MOVE_TREE = 7;
const JOURNAL_SIZE = '(SELECT coalesce(max(at) + 1, 0) FROM journal)';
const STATEMENTS = [
  'INSERT INTO journal VALUES (?, ?)',
  'INSERT INTO rows VALUES (?, CAST(? AS BLOB), ?) ON CONFLICT DO UPDATE SET row = excluded.row',
  'DELETE FROM rows WHERE name = ? AND key = CAST(? AS BLOB)',
  'DELETE FROM rows WHERE name = ?',
  `UPDATE folded SET at = CASE WHEN at = ?1 AND ?2 BETWEEN at AND ${JOURNAL_SIZE} THEN ?2 END`,
  'UPDATE folded SET at = 0',
  'INSERT INTO tiles VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET hashes = excluded.hashes',
  `UPDATE tree SET root = ?4, size = CASE WHEN size = ?1 AND root = ?2 AND ?3 BETWEEN size AND ${JOURNAL_SIZE} THEN ?3 END`,
];

/** Opens the store in `file`, or makes an empty one. */
export function openSqliteMetadataStore(file: string, onBroken?: OnBroken): Promise<MetadataStore> {
  const data = { file, schema: SCHEMA, statements: STATEMENTS };
  return openDatabase(data, (writer, reader) => new SqliteMetadataStore(writer, reader), onBroken);
}

class SqliteMetadataStore implements MetadataStore {
  readonly #writer: SqliteWriter;
  readonly #reader: DatabaseSync;
  readonly #size: StatementSync;
  readonly #head: StatementSync;
  readonly #tile: StatementSync;
  readonly #folded: StatementSync;
  readonly #entries: StatementSync;
  readonly #get: StatementSync;
  readonly #scan: StatementSync;
  readonly #count: StatementSync;
  readonly #writes = new Serial();
  readonly #turn = new Turn();
  #closed = false;

  constructor(writer: SqliteWriter, reader: DatabaseSync) {
    this.#writer = writer;
    this.#reader = reader;
    this.#size = reader.prepare(`SELECT ${JOURNAL_SIZE} AS n`);
    this.#head = reader.prepare('SELECT size, root FROM tree');
    this.#tile = reader.prepare('SELECT hashes FROM tiles WHERE level = ? AND at = ?');
    this.#folded = reader.prepare('SELECT at AS n FROM folded');
    this.#entries = reader.prepare('SELECT entry FROM journal WHERE at >= ? ORDER BY at LIMIT ?');
    this.#get = reader.prepare('SELECT row FROM rows WHERE name = ? AND key = ?');
    this.#scan = reader.prepare(
      'SELECT key, row FROM rows WHERE name = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?',
    );
    this.#count = reader.prepare('SELECT n FROM counts WHERE name = ?');
  }

  async size(): Promise<number> {
    this.#mustBeOpen();
    return numberOf(this.#size);
  }

  async head(): Promise<TreeHead> {
    this.#mustBeOpen();
    return this.#headNow();
  }

  append(entries: readonly Uint8Array[], { from, to, tiles }: Growth): Promise<void> {
    const steps: Step[] = [
      ...entries.map((entry, i): Step => [APPEND, from.size + i, entry]),
      ...tiles.map(({ level, index, hashes }): Step => [PUT_TILE, level, index, hashes]),
      [MOVE_TREE, from.size, from.root, to.size, to.root],
    ];
    return this.#write(async () => {
      mustCount(entries.length, from, to);
      await this.#swap(steps, () => logMoved(this.#headNow(), numberOf(this.#size), from, to));
    });
  }

  async tile(level: number, index: number): Promise<Uint8Array | null> {
    this.#mustBeOpen();
    return (this.#tile.get(level, index)?.hashes as Uint8Array | undefined) ?? null;
  }

  async entries(from: number, limit: number): Promise<Uint8Array[]> {
    this.#mustBeOpen();
    if (this.#turn.isSpent()) await this.#turn.give();
    return this.#entries.all(from, limit).map(({ entry }) => entry as Uint8Array);
  }

  async folded(): Promise<number> {
    this.#mustBeOpen();
    return numberOf(this.#folded);
  }

  fold(changes: readonly Change[], from: number, to: number): Promise<void> {
    return this.#write(() =>
      this.#swap(foldSteps(changes, from, to), () => foldMoved(numberOf(this.#folded), numberOf(this.#size), from, to)),
    );
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
    return this.#write(() => this.#writer.transact(refold ? [...steps, [REFOLD]] : steps));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writes.idle();
    // The writer last: it is the one that can take the write-ahead log into the database.
    this.#reader.close();
    await this.#writer.close();
  }

  #headNow(): TreeHead {
    const { size, root } = this.#head.get() as { size: number; root: Uint8Array };
    return { size, root };
  }

  /** @param told says what was found instead of what was expected */
  async #swap(steps: Iterable<Step>, told: () => string): Promise<void> {
    try {
      await this.#writer.transact(steps);
    } catch (cause) {
      throw cause instanceof ConflictError ? new ConflictError(told(), { cause }) : cause;
    }
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

/** The position first: where it is another one, SQLite is spared the changes. */
function* foldSteps(changes: Iterable<Change>, from: number, to: number): Generator<Step> {
  yield [MOVE_FOLD, from, to];
  yield* stepsOf(changes);
}

function mustCount(entries: number, from: TreeHead, to: TreeHead): void {
  if (entries === 0 || from.size + entries === to.size) return;
  throw new TypeError(`a tree of ${from.size} leaves and ${entries} entries is none of ${to.size}`);
}

/**
 * The keys to scan, as bytes: from the first (inclusive) to the end (exclusive). No byte of UTF-8 is 0xff, so all that
 * starts with the prefix sorts before prefix + 0xff; what sorts right behind a key is that key + 0x00.
 */
function keyRange(prefix: Uint8Array, after: string | undefined): [first: Uint8Array, end: Uint8Array] {
  const behind = after === undefined ? prefix : concat([utf8(after), Uint8Array.of(0)]);
  return [compare(behind, prefix) > 0 ? behind : prefix, concat([prefix, Uint8Array.of(0xff)])];
}

function numberOf(statement: StatementSync): number {
  return Number(statement.get()?.n);
}

const shown = ({ size, root }: TreeHead) => `${size} entries with root ${toHex(root)}`;
const logMoved = (head: TreeHead, journal: number, from: TreeHead, to: TreeHead) =>
  `can't move the log from ${shown(from)} to ${to.size} entries: its tree is at ${shown(head)}, its journal at ${journal}; ` +
  'someone appended meanwhile: read what is there and try again';
const foldMoved = (folded: number, journal: number, from: number, to: number) =>
  `can't fold entries ${from} to ${to}: the fold is at entry ${folded}, the journal holds ${journal}`;
