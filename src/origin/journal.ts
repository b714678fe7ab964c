/**
 * The single writer of the journal: batches entries, appends them, folds them into the tables.
 *
 * Order, and what a crash leaves behind:
 * 1. Blobs that an entry names are durable before it is handed over (the caller's duty). Crash: unnamed blobs.
 * 2. What the fold will change is worked out: an entry that can't be folded must never get into the journal.
 * 3. The batch is appended. This is the commit point. Crash before it: nothing happened. After it: the tables are
 *    behind the journal, and {@link recover} folds the rest at the next start, or, after a disk that was full, before
 *    anything more is appended.
 * 4. The changes are written to the tables, together with the count of folded entries, in one transaction.
 */
import { type Entry, entrySortKey, formatEntry, parseEntry } from '../core/entry.ts';
import { type FoldReader, foldEntries } from '../core/fold.ts';
import { type Change, nameOfKey } from '../core/tables.ts';
import type { BlobStore } from '../io/blob-store.ts';
import type { MetadataStore } from '../io/metadata-store.ts';
import { storedBlob } from '../io/stored-blob.ts';
import { Turn } from '../io/turn.ts';

/** An entry before the journal gave it its time. */
export type NewEntry = Entry extends infer E ? (E extends Entry ? Omit<E, 'time'> : never) : never;

export type Journal = {
  /**
   * Resolves once the entries are durable and the tables show them.
   * @throws MalformedError for an entry that has no canonical form
   */
  append(entries: readonly NewEntry[]): Promise<void>;
  /** Entries appended and folded so far. */
  size(): number;
  /** Resolves when nothing is being written. */
  idle(): Promise<void>;
};

export type JournalDeps = {
  metadata: MetadataStore;
  blobs: BlobStore;
  now: () => number;
  /** Told of each package whose rows have changed, or may have. */
  changed?: (name: string) => void;
  /** Told of each step, for tests that stop the process between two of them. */
  step?: (name: 'journal:appended' | 'journal:folded') => void;
};

type Waiting = { entries: readonly NewEntry[]; resolve: () => void; reject: (reason: unknown) => void };

/** How many entries one recovery step folds; bounds its memory. */
const RECOVERY_ENTRIES = 500;

/** Opens the journal: mends what a crash left between append and fold, then takes entries. */
export async function openJournal(deps: JournalDeps): Promise<Journal> {
  await recover(deps);
  let size = await deps.metadata.size();
  let lastTime = await timeOfLast(deps.metadata, size);
  let waiting: Waiting[] = [];
  let running: Promise<void> | null = null;

  async function writeBatch(batch: readonly NewEntry[]): Promise<void> {
    if ((await deps.metadata.folded()) < size) await recover(deps);
    lastTime = Math.max(lastTime, deps.now());
    const bytes = sortBatch(batch).map((entry) => formatEntry({ ...entry, time: lastTime } as Entry));
    const changes = await foldEntries(bytes, foldReader(deps));
    await deps.metadata.append(bytes, size);
    size += bytes.length;
    deps.step?.('journal:appended');
    await applyFold(deps, changes, size - bytes.length, size);
    deps.step?.('journal:folded');
  }

  async function drain(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        await writeBatch(batch.flatMap((one) => one.entries));
        for (const one of batch) one.resolve();
      } catch (error) {
        for (const one of batch) one.reject(error);
        await recover(deps).catch(() => undefined);
        size = await deps.metadata.size();
      }
    }
    running = null;
  }

  return {
    append: (entries) =>
      new Promise((resolve, reject) => {
        if (entries.length === 0) return resolve();
        // Refuses what is no entry here, before it could spoil the batch of others.
        for (const entry of entries) formatEntry({ ...entry, time: 0 } as Entry);
        waiting.push({ entries, resolve, reject });
        running ??= drain();
      }),
    size: () => size,
    idle: async () => {
      while (running) await running;
    },
  };
}

/** Folds entries that were appended but not yet folded. */
async function recover(deps: JournalDeps): Promise<void> {
  const size = await deps.metadata.size();
  for (let from = await deps.metadata.folded(); from < size; ) {
    const entries = await deps.metadata.entries(from, RECOVERY_ENTRIES);
    await applyFold(deps, await foldEntries(entries, foldReader(deps)), from, from + entries.length);
    from += entries.length;
  }
}

async function applyFold(
  { metadata, changed }: JournalDeps,
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
export function foldReader({ metadata, blobs }: Pick<JournalDeps, 'metadata' | 'blobs'>): FoldReader {
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

/** By SHA-256 of the name, so that the order within a batch tells nothing of who asked first. */
function sortBatch(batch: readonly NewEntry[]): NewEntry[] {
  return batch
    .map((entry) => ({ entry, key: entrySortKey({ ...entry, time: 0 } as Entry) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ entry }) => entry);
}

async function timeOfLast(metadata: MetadataStore, size: number): Promise<number> {
  const [last] = size > 0 ? await metadata.entries(size - 1, 1) : [];
  return last ? parseEntry(last).time : 0;
}
