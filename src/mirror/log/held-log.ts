/**
 * The log as this mirror holds it: entries, tiles, tables, and the checkpoint that it serves.
 *
 * Order, and what a crash leaves behind:
 * 1. The checkpoint to get to is stored: should its origin ever sign another history, both its words are here.
 * 2. Proven entries are appended with their tiles, by compare-and-swap. This is the commit point of each step. Crash after
 *    it: the tables are behind, and are folded at the next start; reading goes on from here.
 * 3. They are folded into the tables.
 * 4. The checkpoint, all of whose entries are held and folded, is stored as the one that is served. Crash before it: the
 *    one before it is served, while the tables are ahead, until the next pass.
 *
 * A write that failed may have done its work all the same, or half of it: a full disk has room for entries and none for
 * rows. {@link HeldLog.mend} then does at the next pass what a start would.
 */

import { type Checkpoint, parseCheckpoint } from '../../core/checkpoint.ts';
import { foldNames, type NamesReader } from '../../core/fold-names.ts';
import { appendLeaves, headOf, type LogTree } from '../../core/log-tree.ts';
import type { HashReader, TreeHead } from '../../core/merkle.ts';
import { splitNote } from '../../core/note.ts';
import { change } from '../../core/tables.ts';
import { lastEntry } from '../../io/last-entry.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { readTree, storedHashes } from '../../io/stored-tree.ts';
import { Turn } from '../../io/turn.ts';

/** A checkpoint whose log signature was verified, and the signed note that it came in. */
export type HeldCheckpoint = { readonly checkpoint: Checkpoint; readonly note: string };

export type HeldLog = {
  /** The newest checkpoint all of whose entries are held and folded; null before the first. */
  served(): HeldCheckpoint | null;
  /** The one whose entries were being taken in last; its log is the one held. Null before the first. */
  target(): HeldCheckpoint | null;
  /** What is held, which may be more than what is served. */
  head(): TreeHead;
  /** Time of the last entry held, unix ms; 0 if there is none. */
  time(): number;
  /** Hashes of a tree of that size, which must not be larger than what is held. */
  hashes(size: number): HashReader;
  entry(index: number): Promise<Uint8Array>;
  /** Looks at the store anew, and folds what is not folded, if taking in did not end well; else it does nothing. */
  mend(): Promise<void>;
  /** Remembers, before anything of it is taken in, where the next entries lead to. */
  aim(target: HeldCheckpoint): Promise<void>;
  /**
   * Takes in the next entries, which are proven to be the log's.
   * @param leaves their leaf hashes
   * @param time of the last of them
   */
  take(entries: readonly Uint8Array[], leaves: readonly Uint8Array[], time: number): Promise<void>;
  /** Serves a checkpoint from now on: all of its entries must be held. */
  serve(checkpoint: HeldCheckpoint): Promise<void>;
};

/** For tests that stop the process between two steps. */
export type HeldLogStep = 'log:aimed' | 'log:appended' | 'log:folded' | 'log:served';

/** Where the note of what is served is kept. */
export const SERVED_SETTING = 'checkpoint';
const TARGET = 'checkpoint-target';
/** How many entries are folded at once after a crash; bounds memory. */
const RECOVERY_ENTRIES = 1_024;

/** Opens what is held, and folds what a crash left unfolded. */
export async function openHeldLog(
  metadata: MetadataStore,
  step: (name: HeldLogStep) => void = () => undefined,
): Promise<HeldLog> {
  await recover(metadata);
  let tree = await readTree(metadata);
  let time = (await lastEntry(metadata, tree.size))?.time ?? 0;
  let [served, target] = [await stored(metadata, SERVED_SETTING), await stored(metadata, TARGET)];
  let isWhole = true;

  const store = (name: string, { note }: HeldCheckpoint) => metadata.write([change('setting', name, { value: note })]);

  return {
    served: () => served,
    target: () => target,
    head: () => headOf(tree),
    time: () => time,
    hashes: (size) => storedHashes(metadata, size),
    entry: async (index) => {
      const [bytes] = await metadata.entries(index, 1);
      if (bytes === undefined) throw new Error(`entry ${index} is missing from the store`);
      return bytes;
    },

    async mend() {
      if (isWhole) return;
      await recover(metadata);
      tree = await readTree(metadata);
      time = (await lastEntry(metadata, tree.size))?.time ?? 0;
      isWhole = true;
    },

    async aim(next) {
      await store(TARGET, next);
      target = next;
      step('log:aimed');
    },

    async take(entries, leaves, last) {
      const first = tree.size;
      isWhole = false;
      tree = await append(metadata, tree, entries, leaves);
      time = last;
      step('log:appended');
      await fold(metadata, entries, first);
      isWhole = true;
      step('log:folded');
    },

    async serve(next) {
      await store(SERVED_SETTING, next);
      served = next;
      step('log:served');
    },
  };
}

async function append(
  metadata: MetadataStore,
  tree: LogTree,
  entries: readonly Uint8Array[],
  leaves: readonly Uint8Array[],
): Promise<LogTree> {
  const grown = appendLeaves(tree, leaves);
  await metadata.append(entries, { from: headOf(tree), to: headOf(grown.tree), tiles: grown.tiles });
  return grown.tree;
}

/** Folds what was appended and not folded. */
async function recover(metadata: MetadataStore): Promise<void> {
  const size = await metadata.size();
  for (let from = await metadata.folded(); from < size; ) {
    const entries = await metadata.entries(from, RECOVERY_ENTRIES);
    await fold(metadata, entries, from);
    from += entries.length;
  }
}

async function fold(metadata: MetadataStore, entries: readonly Uint8Array[], from: number): Promise<void> {
  const turn = new Turn();
  const reader: NamesReader = {
    get: (table, key) => metadata.get(table, key),
    scan: (table, prefix) => metadata.scan(table, prefix),
    count: (table) => metadata.count(table),
    pause: async () => {
      if (turn.isSpent()) await turn.give();
    },
  };
  await metadata.fold(await foldNames(entries, from, reader), from, from + entries.length);
}

async function stored(metadata: MetadataStore, name: string): Promise<HeldCheckpoint | null> {
  const row = await metadata.get('setting', name);
  return row && readHeld(row.value);
}

/** A note that was opened before it was stored. */
export function readHeld(note: string): HeldCheckpoint {
  return { note, checkpoint: parseCheckpoint(splitNote(note).text) };
}
