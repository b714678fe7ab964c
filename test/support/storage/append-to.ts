import { appendLeaves, EMPTY_TREE, headOf } from '../../../src/core/log-tree.ts';
import { leafHash } from '../../../src/core/merkle.ts';
import type { MetadataStore } from '../../../src/io/metadata-store.ts';

/** Appends entries, whatever they are, as a log's only writer would. Works out the whole tree, so: for small ones. */
export async function appendTo(store: MetadataStore, entries: readonly Uint8Array[]): Promise<void> {
  const stored = await store.entries(0, Number.MAX_SAFE_INTEGER);
  const { tree } = appendLeaves(EMPTY_TREE, stored.map(leafHash));
  const grown = appendLeaves(tree, entries.map(leafHash));
  await store.append(entries, { from: headOf(tree), to: headOf(grown.tree), tiles: grown.tiles });
}
