/** Makes the data directory of an origin that has learned a lot, or adds to it, faster than an origin could learn it. */
import { type Entry, formatEntry } from '../src/core/entry.ts';
import { foldEntry } from '../src/core/fold.ts';
import { appendLeaves, headOf } from '../src/core/log-tree.ts';
import { leafHash } from '../src/core/merkle.ts';
import { type Change, change, pinKey, type VersionRow, versionKey } from '../src/core/tables.ts';
import { openDataDir } from '../src/io/data-dir.ts';
import type { MetadataStore } from '../src/io/metadata-store.ts';
import { growTree } from '../src/io/stored-tree.ts';
import { openOriginStores } from '../src/io/stores.ts';
import { madeEntry } from './log-entries.ts';

const STEP_ENTRIES = 50_000;

/**
 * Appends entries until there are so many. Tables are as the fold would leave them, one version in each head; the heads
 * themselves are made up, as nobody who follows the log on demand asks for them.
 */
export async function fillOrigin(data: string, size: number): Promise<void> {
  const { dir, close } = await openDataDir(data, 'origin');
  const stores = await openOriginStores(dir);
  try {
    await grow(stores.metadata, size);
  } finally {
    await stores.close();
    await close();
  }
}

async function grow(metadata: MetadataStore, size: number): Promise<void> {
  let tree = await growTree(metadata);
  while (tree.size < size) {
    const from = tree.size;
    const made = Array.from({ length: Math.min(STEP_ENTRIES, size - from) }, (_, at) => entryAt(from + at, size));
    const entries = made.map(formatEntry);
    const grown = appendLeaves(tree, entries.map(leafHash));
    await metadata.append(entries, { from: headOf(tree), to: headOf(grown.tree), tiles: grown.tiles });
    tree = grown.tree;
    const changes = (await Promise.all(made.map(rowsOf))).flat();
    // Each page of the table is then touched once.
    const inOrder = changes.sort((a, b) => (`${a.table} ${a.key}` < `${b.table} ${b.key}` ? -1 : 1));
    await metadata.fold(inOrder, from, tree.size);
  }
}

/** A log that was published ends in a commit. */
function entryAt(at: number, size: number): Entry {
  const made = madeEntry(at);
  return at === size - 1 ? { kind: 'commit', time: made.time } : made;
}

async function rowsOf(entry: Entry): Promise<Change[]> {
  if (entry.kind === 'learned') return rowsOfHead(entry.name, entry.head);
  return entry.kind === 'measured' ? foldEntry(entry, NOTHING) : [];
}

function rowsOfHead(name: string, head: string): Change[] {
  const version = '1.0.0';
  const hashes = { manifest: head, cut: 0, file: `${version}.tgz`, abbreviated: head, abbreviatedCut: 0 };
  const pinned = `sha512:${head}${head}`;
  const row: VersionRow = { state: 'listed', ...hashes, pinned, time: null, reason: null };
  return [
    change('package', name, { head, seq: 1, withdrawn: null }),
    change('version', versionKey(name, version), row),
    change('pinned', pinKey(pinned, name, version), { name, version }),
  ];
}

const NOTHING = {
  blob: () => Promise.reject(new Error('there are no blobs')),
  get: async () => null,
  scan: async () => [],
};
