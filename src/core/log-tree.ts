/**
 * What of a log's tree must be at hand to let it grow: at each level, the hashes of the tile that is not full yet. All
 * full tiles are done with and never looked at again.
 */

import { concat } from './bytes.ts';
import { SHA256_BYTES } from './hash.ts';
import { rootHash, type TreeHead } from './merkle.ts';
import { hashesIn, rootOfEdge, TILE_WIDTH } from './tile.ts';

/** A tree that can grow. `edge[level]` are the bytes of the growing tile of that level: 0 to 255 hashes. */
export type LogTree = { readonly size: number; readonly edge: readonly Uint8Array[] };

/** A tile with all that it holds so far: 32 to 8,192 bytes. */
export type TileRow = { readonly level: number; readonly index: number; readonly hashes: Uint8Array };

export const EMPTY_TREE: LogTree = { size: 0, edge: [] };

const FULL_TILE_BYTES = TILE_WIDTH * SHA256_BYTES;

/**
 * The tree with these leaves behind its own, and the tiles that gained hashes by it, lowest level first.
 * @param leafHashes 32 bytes each
 */
export function appendLeaves(
  tree: LogTree,
  leafHashes: readonly Uint8Array[],
): { readonly tree: LogTree; readonly tiles: TileRow[] } {
  const edge = [...tree.edge];
  const tiles: TileRow[] = [];
  let hashes = leafHashes;
  for (let level = 0; hashes.length > 0; level++) {
    const grown = cut(concat([edge[level] ?? new Uint8Array(0), ...hashes]));
    const first = Math.floor(tree.size / TILE_WIDTH ** (level + 1));
    tiles.push(...grown.map((bytes, at) => ({ level, index: first + at, hashes: bytes })));
    const full = grown.filter(({ length }) => length === FULL_TILE_BYTES);
    edge[level] = grown[full.length] ?? new Uint8Array(0);
    hashes = full.map((bytes) => rootHash(hashesIn(bytes)));
  }
  return { tree: { size: tree.size + leafHashes.length, edge }, tiles };
}

/** Root hash of the tree (RFC 6962 section 2.1). */
export function rootOfTree(tree: LogTree): Uint8Array {
  return rootOfEdge(tree.edge);
}

/**
 * Size and root hash of the tree. Worked out once for each tree, which takes hundreds of hashes: a log asks for the same
 * head when it appends, when it signs, and when it appends again.
 */
export function headOf(tree: LogTree): TreeHead {
  const known = heads.get(tree);
  if (known) return known;
  const head = { size: tree.size, root: rootOfTree(tree) };
  heads.set(tree, head);
  return head;
}

const heads = new WeakMap<LogTree, TreeHead>();

/** The bytes in tiles, the last one perhaps not full. Copies: the edge must not keep a large batch in memory. */
function cut(bytes: Uint8Array): Uint8Array[] {
  const tiles: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += FULL_TILE_BYTES) tiles.push(bytes.slice(at, at + FULL_TILE_BYTES));
  return tiles;
}
