/** Checks of derived tables: each entry of the journal can be folded, and the tables are what that makes. */

import { type FoldReader, foldEntries } from './fold.ts';
import { foldNames } from './fold-names.ts';
import { entriesOf, type IndexReader, rowsOf, show } from './index-reader.ts';
import { MemoryTables } from './memory-tables.ts';
import { type Change, DERIVED_TABLES, type TableName } from './tables.ts';
import { type Check, Tally } from './verify-report.ts';

/** The changes that one entry makes, by its place in the log, over what a reader shows. */
export type Fold = (entry: Uint8Array, index: number, reader: FoldReader) => Promise<Change[]>;

/** Each role folds the log in its own way. */
export const FOLDS = {
  origin: (entry, _, reader) => foldEntries([entry], reader),
  mirror: (entry, index, reader) => foldNames([entry], index, reader),
} as const satisfies Record<string, Fold>;

/** Folding the journal once more gives the derived tables, row by row. */
export async function verifyTables(reader: IndexReader, fold: Fold): Promise<Check> {
  const tally = new Tally('tables');
  const tables = new MemoryTables();
  let folded = await reader.folded();
  const refold = (from: number, to: number) => foldInto(tables, reader, fold, [from, to], tally);
  await refold(0, folded);
  let differing = await compareAll(tables, reader, tally);
  // A row that differs may just have been changed by an entry that came while we read.
  for (let now = await reader.folded(); differing.length > 0 && now !== folded; now = await reader.folded()) {
    await refold(folded, now);
    folded = now;
    differing = await stillDiffering(differing, tables, reader);
  }
  for (const { table, key } of differing)
    tally.wrong(`${table} ${show(key)}`, await differenceOf(table, key, tables, reader));
  const behind = (await reader.size()) - folded;
  if (behind > 0)
    tally.note(`${entries(behind)} not in the tables yet; the next start takes ${behind === 1 ? 'it' : 'them'} in`);
  return tally.result('as the journal makes them');
}

/** Every entry can be folded: what it names is there and is what its format says. */
export async function verifyFold(reader: IndexReader, fold: Fold): Promise<Check> {
  const tally = new Tally('fold');
  const size = await reader.size();
  await foldInto(new MemoryTables(), reader, fold, [0, size], tally);
  tally.count('entry', size);
  return tally.result('each can be folded');
}

async function foldInto(
  tables: MemoryTables,
  reader: IndexReader,
  fold: Fold,
  [from, to]: readonly [from: number, to: number],
  tally: Tally,
): Promise<void> {
  const inMemory = tablesReader(tables, (sha256) => reader.blob(sha256));
  for await (const [index, bytes] of entriesOf(reader, from, to)) {
    await tally.attempt(`fold of entry ${index}`, async () => tables.apply(await fold(bytes, index, inMemory)));
  }
}

/** Lets a fold read tables in memory. */
export function tablesReader(tables: MemoryTables, blob: FoldReader['blob']): FoldReader {
  return {
    blob,
    get: async (table, key) => tables.get(table, key),
    scan: async (table, prefix) => tables.scan(table, prefix),
  };
}

type Place = { readonly table: (typeof DERIVED_TABLES)[number]; readonly key: string };

/** Rows that are not the same on both sides, or only on one. */
async function compareAll(tables: MemoryTables, reader: IndexReader, tally: Tally): Promise<Place[]> {
  const differing: Place[] = [];
  for (const table of DERIVED_TABLES) {
    const missing = new Set(tables.scan(table, '').map(({ key }) => key));
    for await (const { key, row } of rowsOf(reader, table)) {
      tally.count('row');
      missing.delete(key);
      if (!sameValue(row, tables.get(table, key))) differing.push({ table, key });
    }
    for (const key of missing) differing.push({ table, key });
  }
  return differing;
}

async function stillDiffering(places: Place[], tables: MemoryTables, reader: IndexReader): Promise<Place[]> {
  const still: Place[] = [];
  for (const place of places) {
    const stored = await reader.get(place.table, place.key);
    if (!sameValue(stored, tables.get(place.table, place.key))) still.push(place);
  }
  return still;
}

async function differenceOf(table: TableName, key: string, tables: MemoryTables, reader: IndexReader): Promise<string> {
  const [stored, made] = [await reader.get(table, key), tables.get(table, key)];
  if (made === null) return 'it is in the table, but the journal does not make it';
  if (stored === null) return 'the journal makes it, but it is not in the table';
  return `the table says ${JSON.stringify(stored)}, the journal makes it ${JSON.stringify(made)}`;
}

/** Whether two rows are the same JSON value, the order of members aside. */
function sameValue(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, member) =>
    member !== null && typeof member === 'object' && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

const entries = (n: number): string => (n === 1 ? '1 entry of the journal is' : `${n} entries of the journal are`);
