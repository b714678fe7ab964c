/**
 * A mirror's fold: what the log says of each name, without the blobs that its entries name.
 *
 * An origin folds heads down to single versions (fold.ts). A mirror may hold none of them, and still has to know which
 * head a name has, and what was withdrawn; so its tables only point into the log. What needs no blob is folded alike.
 */
import { type Entry, parseEntry } from './entry.ts';
import { type FoldReader, foldEntry } from './fold.ts';
import { type Change, change, type TableName, type Tables, versionKey, versionPrefix } from './tables.ts';

/**
 * What this fold may look at. `count`, where it is there, says how many rows a table has: one that is empty is then not
 * searched for every entry.
 */
export type NamesReader = Pick<FoldReader, 'get' | 'scan' | 'pause'> & { count?(table: TableName): Promise<number> };

/** What is remembered of withdrawals of the same, so that a row does not grow for ever. */
const HEADS_MAX = 16;
const ENTRIES_MAX = 256;

/** An entry and its place in the log, from 0. */
type Placed<K extends Entry['kind']> = Extract<Entry, { kind: K }> & { readonly index: number };

/**
 * The changes that a run of entries makes, in the log's order.
 * @param first index of the first of them
 * @throws MalformedError for an entry that is none
 */
export async function foldNames(entries: readonly Uint8Array[], first: number, reader: NamesReader): Promise<Change[]> {
  const pending = new Pending(reader);
  for (const [at, bytes] of entries.entries()) {
    pending.add(await foldOne(parseEntry(bytes), first + at, pending));
    await reader.pause?.();
  }
  return pending.all();
}

function foldOne(entry: Entry, index: number, reader: NamesReader): Promise<Change[]> | Change[] {
  switch (entry.kind) {
    case 'learned':
      return foldLearned({ ...entry, index }, reader);
    case 'learned-version':
    case 'repin':
      return foldAhead({ ...entry, index }, reader);
    case 'withdraw':
      return foldWithdraw({ ...entry, index }, reader);
    default:
      return foldEntry(entry, { ...methodsOf(reader), blob: noBlob });
  }
}

/**
 * The new head may take in what was told ahead of it, which a fold without blobs can't see: it is remembered that it was
 * told, in case it is withdrawn. Withdrawn versions stay on record: the head may lack them.
 */
async function foldLearned({ name, head, index }: Placed<'learned'>, reader: NamesReader): Promise<Change[]> {
  const ahead = await reader.scan('ahead', versionPrefix(name));
  return [
    change('name', name, { head, index, withdrawn: null }),
    ...ahead.flatMap(({ key, row: { entry } }) => [change('ahead', key, null), change('told', key, { entry })]),
  ];
}

async function foldAhead(
  { name, version, entry, index }: Placed<'learned-version'> | Placed<'repin'>,
  reader: NamesReader,
): Promise<Change[]> {
  const known = await reader.get('name', name);
  const row = change('ahead', versionKey(name, version), { entry, index });
  return known ? [row] : [change('name', name, { head: null, index, withdrawn: null }), row];
}

/** A whole package is on record under the version `*`, too: its head is needed to know which bytes have to go. */
async function foldWithdraw(entry: Placed<'withdraw'>, reader: NamesReader): Promise<Change[]> {
  const { name, version, reason, deadline, time: at, index } = entry;
  const key = versionKey(name, version);
  const [known, before] = [await reader.get('name', name), await reader.get('withdrawn', key)];
  const withdrawal = { reason, at, deadline };
  const heads = newest([known?.head, ...(before?.heads ?? [])], HEADS_MAX);
  const alone = await toldAlone(entry, reader);
  const entries = newest([...alone.map(({ row }) => row.entry), ...(before?.entries ?? [])], ENTRIES_MAX);
  const row = change('withdrawn', key, { ...withdrawal, heads, entries, index });
  const changes = [row, ...alone.flatMap((one) => [change('ahead', one.key, null), change('told', one.key, null)])];
  if (version !== '*') return changes;
  return [...changes, change('name', name, { head: null, index, withdrawn: withdrawal })];
}

/** What was told of the withdrawn by version entries of their own. */
async function toldAlone({ name, version }: Placed<'withdraw'>, reader: NamesReader) {
  const prefix = versionPrefix(name);
  const all = [...(await reader.scan('ahead', prefix)), ...(await reader.scan('told', prefix))];
  return version === '*' ? all : all.filter(({ key }) => key === versionKey(name, version));
}

function newest(hashes: readonly (string | null | undefined)[], max: number): string[] {
  const known = hashes.filter((hash) => typeof hash === 'string');
  return [...new Set(known)].slice(0, max);
}

/** Rows of this run that are not written yet, over those that are. */
class Pending implements NamesReader {
  readonly #reader: NamesReader;
  readonly #tables = new Map<TableName, Map<string, Change>>();
  readonly #counts = new Map<TableName, number>();

  constructor(reader: NamesReader) {
    this.#reader = reader;
  }

  async get<T extends TableName>(table: T, key: string): Promise<Tables[T] | null> {
    const pending = this.#tables.get(table)?.get(key);
    return pending ? (pending.row as Tables[T] | null) : this.#reader.get(table, key);
  }

  async scan<T extends TableName>(table: T, prefix: string): Promise<{ key: string; row: Tables[T] }[]> {
    const stored = (await this.#isEmpty(table)) ? [] : await this.#reader.scan(table, prefix);
    const rows = new Map(stored.map(({ key, row }) => [key, row]));
    for (const [key, { row }] of this.#tables.get(table) ?? []) {
      if (!key.startsWith(prefix)) continue;
      if (row === null) rows.delete(key);
      else rows.set(key, row as Tables[T]);
    }
    return [...rows].map(([key, row]) => ({ key, row }));
  }

  /** Nothing is written before the run is over, so once is enough to ask. */
  async #isEmpty(table: TableName): Promise<boolean> {
    const known = this.#counts.get(table) ?? (await this.#reader.count?.(table)) ?? Number.NaN;
    this.#counts.set(table, known);
    return known === 0;
  }

  add(changes: readonly Change[]): void {
    for (const one of changes) {
      const table = this.#tables.get(one.table) ?? new Map<string, Change>();
      this.#tables.set(one.table, table.set(one.key, one));
    }
  }

  /** By key: neighbours in the order of keys share pages where they are stored, and each page is then written once. */
  all(): Change[] {
    return [...this.#tables.values()].flatMap((table) => [...table.values()].sort(byKey));
  }
}

function byKey(a: Change, b: Change): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

function methodsOf(reader: NamesReader): NamesReader {
  return { get: (table, key) => reader.get(table, key), scan: (table, prefix) => reader.scan(table, prefix) };
}

function noBlob(): never {
  throw new Error('a mirror folds no entry by the blob that it names');
}
