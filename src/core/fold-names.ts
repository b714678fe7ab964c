/**
 * A mirror's fold: what the log says of each name, without the blobs that its entries name.
 *
 * An origin folds heads down to single versions (fold.ts). A mirror may hold none of them, and still has to know which
 * head a name has, and what was withdrawn; so its tables only point into the log. What needs no blob is folded alike.
 */
import { type Entry, parseEntry } from './entry.ts';
import { type FoldReader, foldEntry } from './fold.ts';
import { PendingRows, type RowReader } from './pending-rows.ts';
import { type Change, change, versionKey, versionPrefix } from './tables.ts';

/** What this fold may look at. */
export type NamesReader = RowReader & Pick<FoldReader, 'pause'>;

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
  const pending = new PendingRows(reader);
  for (const [at, bytes] of entries.entries()) {
    for (const one of await foldOne(parseEntry(bytes), first + at, pending)) pending.add(one);
    await reader.pause?.();
  }
  return pending.all();
}

function foldOne(entry: Entry, index: number, reader: RowReader): Promise<Change[]> | Change[] {
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
async function foldLearned({ name, head, index }: Placed<'learned'>, reader: RowReader): Promise<Change[]> {
  const ahead = await reader.scan('ahead', versionPrefix(name));
  return [
    change('name', name, { head, index, withdrawn: null }),
    ...ahead.flatMap(({ key, row: { entry } }) => [change('ahead', key, null), change('told', key, { entry })]),
  ];
}

async function foldAhead(
  { name, version, entry, index }: Placed<'learned-version'> | Placed<'repin'>,
  reader: RowReader,
): Promise<Change[]> {
  const known = await reader.get('name', name);
  const row = change('ahead', versionKey(name, version), { entry, index });
  return known ? [row] : [change('name', name, { head: null, index, withdrawn: null }), row];
}

/** A whole package is on record under the version `*`, too: its head is needed to know which bytes have to go. */
async function foldWithdraw(entry: Placed<'withdraw'>, reader: RowReader): Promise<Change[]> {
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
async function toldAlone({ name, version }: Placed<'withdraw'>, reader: RowReader) {
  const prefix = versionPrefix(name);
  const all = [...(await reader.scan('ahead', prefix)), ...(await reader.scan('told', prefix))];
  return version === '*' ? all : all.filter(({ key }) => key === versionKey(name, version));
}

function newest(hashes: readonly (string | null | undefined)[], max: number): string[] {
  const known = hashes.filter((hash) => typeof hash === 'string');
  return [...new Set(known)].slice(0, max);
}

function methodsOf(reader: RowReader): RowReader {
  return { get: (table, key) => reader.get(table, key), scan: (table, prefix) => reader.scan(table, prefix) };
}

function noBlob(): never {
  throw new Error('a mirror folds no entry by the blob that it names');
}
