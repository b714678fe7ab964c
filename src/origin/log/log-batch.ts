/** Single steps of writing the log, for its one writer (origin/log/log.ts) and for commands on an origin that is stopped. */
import { type Entry, entrySortKey, formatEntry } from '../../core/entry.ts';
import { type FoldReader, foldEntries } from '../../core/fold.ts';
import { appendLeaves, headOf, type LogTree } from '../../core/log-tree.ts';
import { leafHash } from '../../core/merkle.ts';
import { type Change, nameOfKey } from '../../core/tables.ts';
import type { BlobStore } from '../../io/blob-store.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { storedBlob } from '../../io/stored-blob.ts';
import { growTree } from '../../io/stored-tree.ts';
import { Turn } from '../../io/turn.ts';
import { type ForkGuard, NO_GUARD } from './fork-guard.ts';

/** An entry before the log gave it its time. The log itself adds the `commit` at the end. */
export type NewEntry = Entry extends infer E ? (E extends { kind: 'commit' } ? never : Omit<E & Entry, 'time'>) : never;

/** How many entries one step of mending folds; bounds its memory. */
const RECOVERY_ENTRIES = 500;

/** Steps between which a crash leaves something half done. */
export type BatchStep = 'journal:appended' | 'journal:folded';

/** What the fold needs. `changed` is told of each package whose rows have changed, or may have. */
export type FoldDeps = {
  readonly metadata: MetadataStore;
  readonly blobs: BlobStore;
  readonly changed?: (name: string) => void;
};

export type BatchDeps = FoldDeps & {
  /** Unix ms. */
  readonly now: () => number;
  /** Says no once this log's key is known to have signed another history. */
  readonly guard?: Pick<ForkGuard, 'mustAgree'>;
  readonly step?: (name: BatchStep) => void;
};

/** Where the log is: its tree, and the time of its last entry. */
export type LogState = { readonly tree: LogTree; readonly time: number };

/**
 * Steps 2, 3 and 6 of writing a batch (origin/log/log.ts); what comes between them is the caller's.
 * @returns where the log is now, and what brings the tables there
 */
export async function appendBatch(
  deps: BatchDeps,
  state: LogState,
  batch: readonly NewEntry[],
): Promise<LogState & { fold(): Promise<void> }> {
  const time = Math.max(state.time, deps.now());
  const entries = inOrder(batch).map((entry) => formatEntry({ ...entry, time } as Entry));
  const changes = await foldEntries(entries, foldReader(deps));
  const from = headOf(state.tree);
  const { tree, tiles } = appendLeaves(state.tree, entries.map(leafHash));
  (deps.guard ?? NO_GUARD).mustAgree();
  await deps.metadata.append(entries, { from, to: headOf(tree), tiles });
  deps.step?.('journal:appended');
  const fold = async (): Promise<void> => {
    await applyFold(deps, changes, from.size, tree.size);
    deps.step?.('journal:folded');
  };
  return { tree, time, fold };
}

/**
 * Takes into tree and tables what the journal holds beyond them. Signs nothing.
 * @returns the tree, as large as the journal
 */
export async function mendLog(deps: FoldDeps): Promise<LogTree> {
  const tree = await growTree(deps.metadata);
  await foldRest(deps);
  return tree;
}

async function foldRest(deps: FoldDeps): Promise<void> {
  const size = await deps.metadata.size();
  for (let from = await deps.metadata.folded(); from < size; ) {
    const entries = await deps.metadata.entries(from, RECOVERY_ENTRIES);
    await applyFold(deps, await foldEntries(entries, foldReader(deps)), from, from + entries.length);
    from += entries.length;
  }
}

async function applyFold(
  { metadata, changed }: FoldDeps,
  changes: readonly Change[],
  from: number,
  to: number,
): Promise<void> {
  try {
    await metadata.fold(changes, from, to);
  } finally {
    const ofPackages = changes.filter(({ table }) => table === 'package' || table === 'version');
    for (const name of new Set(ofPackages.map(({ key }) => nameOfKey(key)))) changed?.(name);
  }
}

/** What the fold reads, out of the origin's stores. */
function foldReader({ metadata, blobs }: Pick<FoldDeps, 'metadata' | 'blobs'>): FoldReader {
  const turn = new Turn();
  return {
    pause: async () => {
      if (turn.isSpent()) await turn.give();
    },
    blob: (hex) => storedBlob(blobs, hex, 'a journal entry'),
    get: (table, key) => metadata.get(table, key),
    scan: (table, prefix) => metadata.scan(table, prefix),
  };
}

/**
 * By SHA-256 of the name, so that the order within a batch tells nothing of who asked first; the commit at the end.
 */
function inOrder(batch: readonly NewEntry[]): (NewEntry | { kind: 'commit' })[] {
  const sorted = batch
    .map((entry) => ({ entry, key: entrySortKey({ ...entry, time: 0 } as Entry) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ entry }) => entry);
  return [...sorted, { kind: 'commit' }];
}
