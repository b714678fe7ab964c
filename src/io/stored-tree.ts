/** The log's tree as a metadata store keeps it: read into memory so that it can grow, or hash by hash for proofs. */

import { equal } from '../core/bytes.ts';
import { SHA256_BYTES } from '../core/hash.ts';
import { appendLeaves, headOf, type LogTree } from '../core/log-tree.ts';
import { type HashReader, leafHash, type TreeHead } from '../core/merkle.ts';
import { nodeHashIn, TILE_WIDTH, type Tile, tileFor, tilePath } from '../core/tile.ts';
import type { MetadataStore } from './metadata-store.ts';

/** How many entries are taken in at once; bounds memory. */
const PAGE_ENTRIES = 1_024;

type TreeStore = Pick<MetadataStore, 'head' | 'tile'>;

/**
 * The tree with the store's head, as far as it takes to append to it.
 * @throws Error if tiles are missing or do not have the root that the head says
 */
export async function readTree(store: TreeStore): Promise<LogTree> {
  const head = await store.head();
  const edge: Uint8Array[] = [];
  for (let hashes = head.size, level = 0; hashes > 0; hashes = Math.floor(hashes / TILE_WIDTH), level++) {
    const [index, width] = [Math.floor(hashes / TILE_WIDTH), hashes % TILE_WIDTH];
    edge.push(width === 0 ? new Uint8Array(0) : await readTile(store, { level, index, width }));
  }
  const tree: LogTree = { size: head.size, edge };
  if (equal(headOf(tree).root, head.root)) return tree;
  throw new Error(`the stored tiles do not have the root of ${head.size} entries; restore this folder from a backup`);
}

/**
 * The same, after the tree has taken in entries that the journal holds beyond it: all of them in a folder of a version
 * that kept no tree. Each step is durable, so a crash in between costs nothing but time.
 */
export async function growTree(
  store: TreeStore & Pick<MetadataStore, 'size' | 'entries' | 'append'>,
): Promise<LogTree> {
  let tree = await readTree(store);
  for (const size = await store.size(); tree.size < size; ) {
    const entries = await store.entries(tree.size, PAGE_ENTRIES);
    const grown = appendLeaves(tree, entries.map(leafHash));
    await store.append([], { from: headOf(tree), to: headOf(grown.tree), tiles: grown.tiles });
    tree = grown.tree;
  }
  return tree;
}

/** Hashes of a tree of that size, which is at most the stored one's. */
export function storedHashes(store: TreeStore, size: TreeHead['size']): HashReader {
  return (nodes) =>
    Promise.all(
      nodes.map(async (node) => {
        const tile = tileFor(node, size);
        return nodeHashIn(await readTile(store, tile), tile, node);
      }),
    );
}

/** As wide as asked for; the stored one may have grown since. */
async function readTile(store: TreeStore, tile: Tile): Promise<Uint8Array> {
  const hashes = await store.tile(tile.level, tile.index);
  const length = tile.width * SHA256_BYTES;
  if (hashes && hashes.length >= length) return hashes.subarray(0, length);
  throw new Error(`${tilePath(tile)} is missing from the store; restore this folder from a backup`);
}
