import assert from 'node:assert/strict';
import { compare, equal, utf8 } from '../../src/core/bytes.ts';
import { ConflictError } from '../../src/core/errors.ts';
import { rootHash, type TreeHead } from '../../src/core/merkle.ts';
import { type Change, DERIVED_TABLES, type TableName, type Tables } from '../../src/core/tables.ts';
import type { Growth, Keyed, MetadataStore, ScanOptions } from '../../src/io/metadata-store.ts';

/** A write that can be made to fail, before or after it took effect (the answer got lost). */
type Fault = {
  readonly method: 'append' | 'fold' | 'write' | 'clear';
  readonly persist: boolean;
  readonly error: Error;
};

const isDerived = (table: TableName): boolean => (DERIVED_TABLES as readonly TableName[]).includes(table);

/**
 * A metadata store in memory, for tests of what stands on one. It complains when it is misused in a way that a real one
 * could not notice: derived rows written past the fold, entries that change after they were appended, use after close.
 */
export class MemoryMetadataStore implements MetadataStore {
  readonly #journal: { readonly given: Uint8Array; readonly kept: Uint8Array }[] = [];
  readonly #tables = new Map<TableName, Map<string, string>>();
  readonly #tiles = new Map<string, Uint8Array>();
  readonly #faults: Fault[] = [];
  #head: TreeHead = { size: 0, root: rootHash([]) };
  #folded = 0;
  #closed = false;

  /** The next call of `method` fails with `error`; with `persist` only after it did its work. */
  failNext(method: Fault['method'], error: Error, { persist = false } = {}): void {
    this.#faults.push({ method, persist, error });
  }

  async size(): Promise<number> {
    this.#check();
    return this.#journal.length;
  }

  async head(): Promise<TreeHead> {
    this.#check();
    return { size: this.#head.size, root: new Uint8Array(this.#head.root) };
  }

  append(entries: readonly Uint8Array[], { from, to, tiles }: Growth): Promise<void> {
    return this.#write('append', () => {
      if (entries.length > 0 && from.size + entries.length !== to.size) throw new TypeError('miscounted');
      const [{ size, root }, journal] = [this.#head, this.#journal.length];
      if (from.size !== size || !equal(from.root, root)) throw new ConflictError(`the tree is at ${size} entries`);
      const fits = entries.length > 0 ? journal === from.size : from.size <= to.size && to.size <= journal;
      if (!fits) throw new ConflictError(`the journal holds ${journal} entries`);
      this.#journal.push(...entries.map((given) => ({ given, kept: new Uint8Array(given) })));
      for (const { level, index, hashes } of tiles) this.#tiles.set(`${level}/${index}`, new Uint8Array(hashes));
      this.#head = { size: to.size, root: new Uint8Array(to.root) };
    });
  }

  async tile(level: number, index: number): Promise<Uint8Array | null> {
    this.#check();
    const hashes = this.#tiles.get(`${level}/${index}`);
    return hashes === undefined ? null : new Uint8Array(hashes);
  }

  /** Adds entries as a version without a tree did. */
  appendWithoutTree(entries: readonly Uint8Array[]): void {
    this.#journal.push(...entries.map((given) => ({ given, kept: new Uint8Array(given) })));
  }

  async entries(from: number, limit: number): Promise<Uint8Array[]> {
    this.#check();
    return this.#journal.slice(from, from + limit).map(({ kept }) => new Uint8Array(kept));
  }

  async folded(): Promise<number> {
    this.#check();
    return this.#folded;
  }

  fold(changes: readonly Change[], from: number, to: number): Promise<void> {
    return this.#write('fold', () => {
      for (const { table } of changes) assert.ok(isDerived(table), `the fold may not change the local table ${table}`);
      if (from !== this.#folded) throw new ConflictError(`the fold is at entry ${this.#folded}, not ${from}`);
      if (to < from || to > this.#journal.length) throw new ConflictError(`can't fold entries ${from} to ${to}`);
      this.#apply(changes);
      this.#folded = to;
    });
  }

  write(changes: readonly Change[]): Promise<void> {
    return this.#write('write', () => {
      for (const { table } of changes) assert.ok(!isDerived(table), `only the fold may change ${table}`);
      this.#apply(changes);
    });
  }

  async get<T extends TableName>(table: T, key: string): Promise<Tables[T] | null> {
    this.#check();
    return JSON.parse(this.#table(table).get(key) ?? 'null');
  }

  async scan<T extends TableName>(table: T, prefix: string, options: ScanOptions = {}): Promise<Keyed<T>[]> {
    this.#check();
    const { after, limit = Number.POSITIVE_INFINITY } = options;
    return [...this.#table(table)]
      .filter(([key]) => key.startsWith(prefix) && (after === undefined || compareKeys(key, after) > 0))
      .sort(([a], [b]) => compareKeys(a, b))
      .slice(0, limit)
      .map(([key, row]) => ({ key, row: JSON.parse(row) }));
  }

  async count(table: TableName): Promise<number> {
    this.#check();
    return this.#table(table).size;
  }

  clear(tables: readonly TableName[]): Promise<void> {
    return this.#write('clear', () => {
      const named = tables.filter(isDerived).length;
      assert.ok(
        named === 0 || named === DERIVED_TABLES.length,
        'derived tables are cleared all together or not at all',
      );
      for (const table of tables) this.#tables.delete(table);
      if (named > 0) this.#folded = 0;
    });
  }

  async close(): Promise<void> {
    if (!this.#closed) this.#check();
    this.#closed = true;
  }

  async #write(method: Fault['method'], work: () => void): Promise<void> {
    this.#check();
    const at = this.#faults.findIndex((fault) => fault.method === method);
    const [fault] = at === -1 ? [] : this.#faults.splice(at, 1);
    if (fault && !fault.persist) throw fault.error;
    work();
    if (fault) throw fault.error;
  }

  #apply(changes: readonly Change[]): void {
    for (const { key } of changes) utf8(key);
    for (const { table, key, row } of changes) {
      if (row === null) this.#table(table).delete(key);
      else this.#table(table).set(key, JSON.stringify(row));
    }
  }

  #table(name: TableName): Map<string, string> {
    const table = this.#tables.get(name) ?? new Map<string, string>();
    this.#tables.set(name, table);
    return table;
  }

  #check(): void {
    // Not an assertion: real stores reject as well, and a caller that shuts down may rely on it.
    if (this.#closed) throw new Error('the metadata store is closed');
    for (const [i, { given, kept }] of this.#journal.entries()) {
      assert.equal(compare(given, kept), 0, `the bytes of entry ${i} were changed after it was appended`);
    }
  }
}

function compareKeys(a: string, b: string): number {
  return compare(utf8(a), utf8(b));
}
