/**
 * The fold: journal entries to table rows.
 *
 * Index tables change in no other way, so each can be rebuilt from the journal and the content-addressed blobs.
 * Nothing here reads a store: {@link foldEntries} is given a reader and answers with the changes to write.
 */
import { readTopTime } from './assembly.ts';
import { type Entry, parseEntry } from './entry.ts';
import { MalformedError } from './errors.ts';
import { parseHead, parsePage, parseVersionEntry, type VersionEntry } from './head.ts';
import { formatPinned, parsePinned } from './integrity.ts';
import { PAGE_ENTRIES } from './limits.ts';
import { PendingRows, type RowReader } from './pending-rows.ts';
import type { Steps } from './steps.ts';
import {
  type Change,
  change,
  type HostRow,
  pinKey,
  type VersionRow,
  versionKey,
  versionOfKey,
  versionPrefix,
} from './tables.ts';

/** What the fold may look at. */
export type FoldReader = RowReader & {
  /** A blob that an entry names; rejects where it is missing, since a fold without it would be wrong. */
  blob(sha256: string): Promise<Uint8Array>;
  /** Lets others have their turn: asked now and then while an entry of a large package is folded. */
  pause?(): Promise<void>;
};

/**
 * The changes that a run of journal entries makes, in the journal's order.
 * @throws MalformedError when an entry or a blob that it names is not what its format says.
 */
export async function foldEntries(entries: readonly Uint8Array[], reader: FoldReader): Promise<Change[]> {
  const pending = new PendingRows(reader);
  const over: FoldReader = {
    blob: (sha256) => reader.blob(sha256),
    get: (table, key) => pending.get(table, key),
    scan: (table, prefix) => pending.scan(table, prefix),
    pause: async () => reader.pause?.(),
  };
  for (const bytes of entries) await addPausing(pending, await foldEntry(parseEntry(bytes), over), over);
  return pending.all();
}

async function addPausing(pending: PendingRows, changes: readonly Change[], reader: FoldReader): Promise<void> {
  for (const [at, one] of changes.entries()) {
    pending.add(one);
    if (at % PAGE_ENTRIES === 0) await reader.pause?.();
  }
}

/** The changes of one entry over the state that `reader` shows. */
export async function foldEntry(entry: Entry, reader: FoldReader): Promise<Change[]> {
  switch (entry.kind) {
    case 'learned':
      return foldLearned(entry, reader);
    case 'learned-version':
      return foldSingle(entry, reader);
    case 'measured':
      return foldMeasured(entry);
    case 'withdraw':
      return foldWithdraw(entry, reader);
    case 'repin':
      return foldSingle(entry, reader);
    case 'upstream-key': {
      const { keytype, scheme, key, expires, by } = entry;
      return [change('upstream-key', entry.keyid, { keytype, scheme, key, expires, by })];
    }
    case 'host-admit': {
      const row: HostRow = { url: entry.url, key: entry.key, admitted: entry.time, evicted: null };
      return [change('host', entry.host, row)];
    }
    case 'host-evict': {
      const row = await reader.get('host', entry.host);
      return row ? [change('host', entry.host, { ...row, evicted: entry.reason })] : [];
    }
    case 'log-key': {
      const { previous, time: since, signature } = entry;
      return [change('log-key', entry.key, { previous, since, signature })];
    }
    case 'commit':
      return [];
  }
}

type Of<K extends Entry['kind']> = Extract<Entry, { kind: K }>;

async function foldLearned(entry: Of<'learned'>, reader: FoldReader): Promise<Change[]> {
  const head = parseHead(await reader.blob(entry.head));
  if (head.name !== entry.name) {
    throw new MalformedError('head', `the entry is about ${entry.name}, the head that it names about ${head.name}`);
  }
  const times = await pausing(readTopTime(await reader.blob(head.top)), reader);
  const changes: Change[] = [change('package', entry.name, { head: entry.head, seq: head.seq, withdrawn: null })];
  const before = new Map((await reader.scan('version', versionPrefix(entry.name))).map(({ key, row }) => [key, row]));
  for (const page of head.pages) {
    for (const listed of parsePage(await reader.blob(page))) {
      const key = versionKey(entry.name, listed.version);
      const row = versionRow(listed, 'listed', times?.get(listed.version) ?? null);
      const known = before.get(key);
      if (!sameRow(known, row)) changes.push(change('version', key, row));
      changes.push(...foldPin(entry.name, listed, known));
      before.delete(key);
    }
    await reader.pause?.();
  }
  for (const [key, row] of before) {
    if (row.state === 'listed') changes.push(change('version', key, { ...row, state: 'withdrawn', reason: null }));
  }
  return changes;
}

/** A version that was learned alone or pinned anew waits for the next head: only that knows its publish time. */
async function foldSingle(entry: Of<'learned-version'> | Of<'repin'>, reader: FoldReader): Promise<Change[]> {
  const line = await versionEntryOf(entry, reader);
  const key = versionKey(entry.name, entry.version);
  const known = (await reader.get('version', key)) ?? undefined;
  return [
    ...(await foldName(entry.name, reader)),
    change('version', key, versionRow(line, 'learned', null)),
    ...foldPin(entry.name, line, known),
  ];
}

/** A package of which only single versions are known so far. */
async function foldName(name: string, reader: FoldReader): Promise<Change[]> {
  const known = await reader.get('package', name);
  return known ? [] : [change('package', name, { head: null, seq: 0, withdrawn: null })];
}

async function versionEntryOf(
  { version, entry }: Of<'learned-version'> | Of<'repin'>,
  reader: FoldReader,
): Promise<VersionEntry> {
  const line = parseVersionEntry(await reader.blob(entry));
  if (line.version === version) return line;
  throw new MalformedError('version entry', `expected version ${version}, found ${line.version}`);
}

function foldMeasured(entry: Of<'measured'>): Change[] {
  const { sha512, size, chunks, list } = entry;
  const pinned = formatPinned(entry.pinned);
  const changes: Change[] = [change('measured', pinned, { sha512, size, chunks, list })];
  if (entry.pinned.algorithm !== 'sha512') changes.push(change('content', sha512, { pinned }));
  return changes;
}

async function foldWithdraw(entry: Of<'withdraw'>, reader: FoldReader): Promise<Change[]> {
  const withdrawn = { reason: entry.reason, at: entry.time, deadline: entry.deadline };
  if (entry.version !== '*') {
    const key = versionKey(entry.name, entry.version);
    const row = await reader.get('version', key);
    return row ? [change('version', key, { ...row, state: 'withdrawn', reason: entry.reason })] : [];
  }
  const known = await reader.get('package', entry.name);
  const changes: Change[] = [change('package', entry.name, { head: null, seq: known?.seq ?? 0, withdrawn })];
  for (const { key, row } of await reader.scan('version', versionPrefix(entry.name))) {
    changes.push(change('version', key, { ...row, state: 'withdrawn', reason: entry.reason }));
  }
  return changes;
}

/** A version leaves the hash that it had, and comes to the one that it has. */
function foldPin(name: string, { version, pinned }: VersionEntry, known: VersionRow | undefined): Change[] {
  const now = formatPinned(pinned);
  if (known?.pinned === now) return [];
  const left = known ? [change('pinned', pinKey(known.pinned, name, version), null)] : [];
  return [...left, change('pinned', pinKey(now, name, version), { name, version })];
}

function versionRow(entry: VersionEntry, state: VersionRow['state'], time: string | null): VersionRow {
  const { manifest, cut, file, abbreviated, abbreviatedCut } = entry;
  const pinned = formatPinned(entry.pinned);
  return { state, manifest, cut, file, abbreviated, abbreviatedCut, pinned, time, reason: null };
}

/** The version entry that a row was made from. */
export function entryOfRow(key: string, row: VersionRow): VersionEntry {
  const { manifest, cut, file, abbreviated, abbreviatedCut } = row;
  const pinned = parsePinned(row.pinned);
  return { version: versionOfKey(key), manifest, cut, file, abbreviated, abbreviatedCut, pinned };
}

function sameRow(a: VersionRow | undefined, b: VersionRow): boolean {
  return a !== undefined && (Object.keys(b) as (keyof VersionRow)[]).every((field) => a[field] === b[field]);
}

async function pausing<T>(steps: Steps<T>, reader: FoldReader): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    await reader.pause?.();
  }
}
