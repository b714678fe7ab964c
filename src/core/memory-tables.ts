import { type Change, KEY_SEPARATOR, type TableName, type Tables } from './tables.ts';

type Rows = Map<string, unknown>;

/** Tables in memory, to fold a journal into. Rows lie in groups by the first part of their key: a package's together. */
export class MemoryTables {
  readonly #tables = new Map<TableName, Map<string, Rows>>();

  apply(changes: Iterable<Change>): void {
    for (const { table, key, row } of changes) {
      const rows = this.#group(table, key);
      if (row === null) rows.delete(key);
      else rows.set(key, row);
    }
  }

  get<T extends TableName>(table: T, key: string): Tables[T] | null {
    return (this.#tables.get(table)?.get(groupOf(key))?.get(key) as Tables[T] | undefined) ?? null;
  }

  /** Rows whose key starts with `prefix`, in no order. Cheap where the prefix is the whole first part of a key. */
  scan<T extends TableName>(table: T, prefix: string): { key: string; row: Tables[T] }[] {
    const found: { key: string; row: Tables[T] }[] = [];
    for (const [key, row] of this.#candidates(table, prefix)) {
      if (key.startsWith(prefix)) found.push({ key, row: row as Tables[T] });
    }
    return found;
  }

  *#candidates(table: TableName, prefix: string): Iterable<[string, unknown]> {
    const groups = this.#tables.get(table);
    if (groups === undefined) return;
    if (prefix.includes(KEY_SEPARATOR)) yield* groups.get(groupOf(prefix)) ?? [];
    else for (const rows of groups.values()) yield* rows;
  }

  #group(table: TableName, key: string): Rows {
    const groups = this.#tables.get(table) ?? new Map<string, Rows>();
    this.#tables.set(table, groups);
    const rows: Rows = groups.get(groupOf(key)) ?? new Map();
    groups.set(groupOf(key), rows);
    return rows;
  }
}

function groupOf(key: string): string {
  const at = key.indexOf(KEY_SEPARATOR);
  return at === -1 ? key : key.slice(0, at);
}
