/**
 * Checks of an index: that the journal is sound, that the tables are what the journal makes them, and that everything
 * they name is there and is what its hash says. Reads through {@link IndexReader} only, be it a stopped data directory, a
 * running server's stores, or a server far away. The journal may grow meanwhile.
 */

import { createHash } from 'node:crypto';
import { type FormKind, formParts } from './assembly.ts';
import { equal, text, toHex } from './bytes.ts';
import { chunkCount, chunkRoot } from './chunks.ts';
import { parseEntry } from './entry.ts';
import { MalformedError } from './errors.ts';
import { entryOfRow, type FoldReader, foldEntries } from './fold.ts';
import { foldNames } from './fold-names.ts';
import { type Head, parseHead, type VersionEntry } from './head.ts';
import { formatPinned, pinnedHashOf } from './integrity.ts';
import { abbreviate } from './manifest.ts';
import { MemoryTables } from './memory-tables.ts';
import { HASH_BYTES } from './merkle.ts';
import { openPages } from './pages.ts';
import { type Change, DERIVED_TABLES, KEY_SEPARATOR, type MeasuredRow, type TableName, type Tables } from './tables.ts';
import { type Check, Tally } from './verify-report.ts';

export type IndexReader = {
  /** Entries in the journal, and how many of them the tables have taken in. */
  size(): Promise<number>;
  folded(): Promise<number>;
  entries(from: number, limit: number): Promise<Uint8Array[]>;
  get<T extends TableName>(table: T, key: string): Promise<Tables[T] | null>;
  scan<T extends TableName>(
    table: T,
    prefix: string,
    page: { after?: string; limit: number },
  ): Promise<{ key: string; row: Tables[T] }[]>;
  /** A blob, checked against its hash; rejects where it is missing or wrong. */
  blob(sha256: string): Promise<Uint8Array>;
};

/** The changes that one entry makes, by its place in the log, over what a reader shows. */
export type Fold = (entry: Uint8Array, index: number, reader: FoldReader) => Promise<Change[]>;

/** Each role folds the log in its own way. */
export const FOLDS = {
  origin: (entry, _, reader) => foldEntries([entry], reader),
  mirror: (entry, index, reader) => foldNames([entry], index, reader),
} as const satisfies Record<string, Fold>;

/** Entries or rows in memory at once. */
const PAGE = 500;

/** All checks of an origin's index, one after the other. */
export async function verifyIndex(reader: IndexReader): Promise<Check[]> {
  return [
    await verifyJournal(reader),
    await verifyTables(reader, FOLDS.origin),
    await verifyPackages(reader),
    await verifyVersions(reader),
    await verifyMeasured(reader),
  ];
}

/** Every entry is canonical, and none is older than the one before it. */
export async function verifyJournal(reader: Pick<IndexReader, 'size' | 'entries'>): Promise<Check> {
  const tally = new Tally('journal');
  let latest = 0;
  for await (const [index, bytes] of entriesOf(reader, 0, await reader.size())) {
    tally.count('entry');
    await tally.attempt(`entry ${index}`, async () => {
      latest = checkEntry(bytes, latest);
    });
  }
  return tally.result('all canonical, in the order of time');
}

/**
 * @param latest time of the entry before it
 * @returns its own time
 * @throws MalformedError if it is not canonical, or older than the one before it
 */
export function checkEntry(bytes: Uint8Array, latest: number): number {
  const { time } = parseEntry(bytes);
  if (time >= latest) return time;
  throw new MalformedError('journal', `time ${time} lies before ${latest}`);
}

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

/** Every package's head and pages are sound, and both forms come out as the head says. */
export async function verifyPackages(reader: IndexReader): Promise<Check> {
  const tally = new Tally('packages');
  for await (const { key: name, row } of rowsOf(reader, 'package')) {
    tally.count('package');
    if (row.head === null) continue;
    const hash = row.head;
    await tally.attempt(name, async () => {
      const head = parseHead(await reader.blob(hash));
      if (head.name !== name || head.seq !== row.seq) {
        throw new MalformedError(
          'head',
          `it is number ${head.seq} of ${head.name}, the table says ${row.seq} of ${name}`,
        );
      }
      await verifyForms(head, reader);
      tally.count('head');
    });
  }
  return tally.result('pages and both forms as their heads say');
}

/** Every version's blobs are there, and say what its row says. */
export async function verifyVersions(reader: IndexReader): Promise<Check> {
  const tally = new Tally('versions');
  for await (const { key, row } of rowsOf(reader, 'version')) {
    tally.count('version');
    await tally.attempt(show(key), () => verifyManifest(key, entryOfRow(key, row), reader));
  }
  return tally.result('manifests with the pinned hash, abbreviated by the rule');
}

/** Every measured tarball's chunk list is there and gives the root. */
export async function verifyMeasured(reader: Pick<IndexReader, 'scan' | 'blob'>): Promise<Check> {
  const tally = new Tally('measured');
  for await (const { key, row } of rowsOf(reader, 'measured')) {
    tally.count('tarball');
    await tally.attempt(key, async () => checkChunkList(row, await reader.blob(row.list)));
  }
  return tally.result('chunk lists with the roots that were measured');
}

/** @throws MalformedError if these are not the chunk hashes of what was measured */
export function checkChunkList({ chunks, size }: MeasuredRow, list: Uint8Array): void {
  const root = toHex(chunkRoot(list));
  if (root !== chunks) throw new MalformedError('chunk list', `its root is ${root}, expected ${chunks}`);
  if (list.length === chunkCount(size) * HASH_BYTES) return;
  throw new MalformedError('chunk list', `${list.length} bytes of hashes for a tarball of ${size} bytes`);
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

/** Both forms of a package come out as its head says. */
export async function verifyForms(head: Head, reader: Pick<IndexReader, 'blob'>): Promise<void> {
  const pages: Uint8Array[] = [];
  for (const page of head.pages) pages.push(await reader.blob(page));
  const entries = openPages(head, pages);
  const source = { name: head.name, tags: await reader.blob(head.tags), top: await reader.blob(head.top), entries };
  for (const kind of ['full', 'abbreviated'] as const) {
    const form = await digestForm(kind, source, reader);
    if (form.sha256 === head[kind].sha256 && form.size === head[kind].size) continue;
    const told = `${head[kind].size} bytes with sha256 ${head[kind].sha256}`;
    throw new MalformedError('head', `the ${kind} form should have ${told}, it has ${form.size} with ${form.sha256}`);
  }
}

async function digestForm(
  kind: FormKind,
  source: Parameters<typeof formParts>[1],
  reader: Pick<IndexReader, 'blob'>,
): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  for (const part of formParts(kind, source, '')) {
    const pieces = 'bytes' in part ? [part.bytes] : splice(await reader.blob(part.blob), part.cut, part.insert);
    for (const piece of pieces) hash.update(piece);
    size += pieces.reduce((sum, { length }) => sum + length, 0);
  }
  return { size, sha256: hash.digest('hex') };
}

const splice = (bytes: Uint8Array, cut: number, insert: Uint8Array): Uint8Array[] => [
  bytes.subarray(0, cut),
  insert,
  bytes.subarray(cut),
];

/**
 * The manifest of a version entry is that version's, has its pinned hash, and is abbreviated by the rule.
 * @param key made by `versionKey`
 */
export async function verifyManifest(
  key: string,
  entry: VersionEntry,
  reader: Pick<IndexReader, 'blob'>,
): Promise<void> {
  const blob = await reader.blob(entry.manifest);
  const { name, version, dist } = JSON.parse(text(blob));
  if (`${name}${KEY_SEPARATOR}${version}` !== key) {
    throw new MalformedError('manifest', `it is that of ${name}@${version}`);
  }
  const pinned = pinnedHashOf(dist);
  if (pinned === null || formatPinned(pinned) !== formatPinned(entry.pinned)) {
    const found = pinned === null ? 'no hash' : formatPinned(pinned);
    throw new MalformedError('manifest', `it has ${found}, pinned is ${formatPinned(entry.pinned)}`);
  }
  const made = abbreviate(blob, entry.cut);
  if (equal(made.abbreviated, await reader.blob(entry.abbreviated)) && made.abbreviatedCut === entry.abbreviatedCut)
    return;
  throw new MalformedError('manifest', 'its abbreviated form is not what the rule makes of it');
}

async function* entriesOf(
  reader: Pick<IndexReader, 'entries'>,
  from: number,
  to: number,
): AsyncGenerator<[number, Uint8Array]> {
  for (let at = from; at < to; at += PAGE) {
    const page = await reader.entries(at, Math.min(PAGE, to - at));
    for (const [i, bytes] of page.entries()) yield [at + i, bytes];
  }
}

/** All rows of a table, page by page. */
export async function* rowsOf<T extends TableName>(
  reader: Pick<IndexReader, 'scan'>,
  table: T,
): AsyncGenerator<{ key: string; row: Tables[T] }> {
  for (let after: { after?: string } = {}; ; ) {
    const page = await reader.scan(table, '', { ...after, limit: PAGE });
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = { after: last.key };
  }
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

/** A compound key as people write it: `name@version`. */
export const show = (key: string): string => key.replaceAll(KEY_SEPARATOR, '@');
