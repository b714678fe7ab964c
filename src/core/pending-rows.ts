/** Rows that a run of entries makes before any of them is written: entries of one run may build on each other. */
import type { Change, TableName, Tables } from './tables.ts';

/** Reads rows that are written. */
export type RowReader = {
  get<T extends TableName>(table: T, key: string): Promise<Tables[T] | null>;
  scan<T extends TableName>(table: T, prefix: string): Promise<{ key: string; row: Tables[T] }[]>;
  /** How many rows a table has: one that is empty is then not searched for every entry. */
  count?(table: TableName): Promise<number>;
};

/** Changes that are not written yet, over the rows that are. Nothing may be written before the run is over. */
export class PendingRows implements RowReader {
  readonly #written: RowReader;
  readonly #tables = new Map<TableName, Map<string, Change>>();
  readonly #counts = new Map<TableName, number>();

  constructor(written: RowReader) {
    this.#written = written;
  }

  async get<T extends TableName>(table: T, key: string): Promise<Tables[T] | null> {
    const pending = this.#tables.get(table)?.get(key);
    return pending ? (pending.row as Tables[T] | null) : this.#written.get(table, key);
  }

  async scan<T extends TableName>(table: T, prefix: string): Promise<{ key: string; row: Tables[T] }[]> {
    const written = (await this.#isEmpty(table)) ? [] : await this.#written.scan(table, prefix);
    const pending = this.#tables.get(table);
    if (pending === undefined) return written;
    const rows = new Map(written.map(({ key, row }) => [key, row]));
    for (const [key, { row }] of pending) {
      if (!key.startsWith(prefix)) continue;
      if (row === null) rows.delete(key);
      else rows.set(key, row as Tables[T]);
    }
    return [...rows].map(([key, row]) => ({ key, row }));
  }

  /** As nothing is written meanwhile, it is enough to ask once. */
  async #isEmpty(table: TableName): Promise<boolean> {
    const known = this.#counts.get(table) ?? (await this.#written.count?.(table)) ?? Number.NaN;
    this.#counts.set(table, known);
    return known === 0;
  }

  add(one: Change): void {
    const table = this.#tables.get(one.table) ?? new Map<string, Change>();
    this.#tables.set(one.table, table.set(one.key, one));
  }

  /** By key: neighbours in the order of keys share pages where they are stored, and each page is then written once. */
  all(): Change[] {
    return [...this.#tables.values()].flatMap((table) => [...table.values()].sort(byKey));
  }
}

function byKey(a: Change, b: Change): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}
