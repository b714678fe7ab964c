/**
 * Hashes out of tiles that a stranger sent. What this reader gives out is part of the tree whose head the caller trusts.
 *
 * The partial tiles, at most one at each level, yield the root together: that proves all their hashes at once. The hash
 * over a full tile stands in the tile above it, and so on, up to a partial one. So the tile of a node, those above it
 * and the right edge are all that is needed. The idea is that of Go's checksum database (golang.org/x/mod/sumdb/tlog,
 * TileHashReader).
 */

import { equal, toHex } from './bytes.ts';
import { WrongTileError } from './errors.ts';
import { SHA256_BYTES } from './hash.ts';
import { type HashReader, type NodeId, rootHash, type TreeHead } from './merkle.ts';
import {
  hashesIn,
  nodeHashIn,
  rootOfEdge,
  TILE_HEIGHT,
  TILE_WIDTH,
  type Tile,
  tileFor,
  tilePath,
  tilesOf,
} from './tile.ts';

/**
 * Fetches tiles: the bytes of each, in order, 32 for each hash of its width. Nothing of them is trusted. Where a partial
 * tile is gone because the full one has taken its place, the first bytes of that one are the same.
 */
export type FetchTiles = (tiles: Tile[]) => Promise<Uint8Array[]>;

/** Bytes of tiles, by the tiles' paths. */
type Tiles = ReadonlyMap<string, Uint8Array>;

/**
 * A reader of the hashes of this tree, which fetches all tiles that a call needs at once.
 * @throws WrongTileError (the reader does) if a tile is not the one of this tree; no hash is given out then
 */
export function createTileReader(head: TreeHead, read: FetchTiles): HashReader {
  return async (nodes) => {
    const needed = tilesNeeded(nodes, head.size);
    const fetched = await read(needed);
    const tiles = new Map(needed.map((tile, at) => [tilePath(tile), ofRightLength(tile, fetched[at])]));
    checkEdge(head, tiles);
    for (const tile of needed.filter(isFull)) checkFull(tile, head.size, tiles);
    return nodes.map((node) => hashOf(node, head.size, tiles));
  };
}

/** The right edge, and for each node its tile and those above it; each once, the highest first. */
function tilesNeeded(nodes: readonly NodeId[], size: number): Tile[] {
  const tiles = new Map(tilesOf(size).map((tile) => [tilePath(tile), tile]));
  for (const node of nodes) {
    let tile = tileFor(node, size);
    while (!tiles.has(tilePath(tile))) {
      tiles.set(tilePath(tile), tile);
      tile = tileFor(nodeOver(tile), size);
    }
  }
  return [...tiles.values()].sort((a, b) => b.level - a.level);
}

function ofRightLength(tile: Tile, bytes: Uint8Array | undefined): Uint8Array {
  const expected = tile.width * SHA256_BYTES;
  if (bytes?.length === expected) return bytes;
  throw new WrongTileError({ paths: [tilePath(tile)], reason: `${bytes?.length ?? 'no'} bytes, expected ${expected}` });
}

function checkEdge(head: TreeHead, tiles: Tiles): void {
  const paths = tilesOf(head.size).map(tilePath);
  const root = rootOfEdge(paths.map((path) => tiles.get(path) as Uint8Array));
  if (equal(root, head.root)) return;
  const reason = `they yield another root of the tree of ${head.size}: ${toHex(root)}, not ${toHex(head.root)}`;
  throw new WrongTileError({ paths, reason });
}

/** Checks a full tile against the one above it, which must have been checked before. */
function checkFull(tile: Tile, size: number, tiles: Tiles): void {
  const hash = rootHash(hashesIn(tiles.get(tilePath(tile)) as Uint8Array));
  if (equal(hash, hashOf(nodeOver(tile), size, tiles))) return;
  throw new WrongTileError({ paths: [tilePath(tile)], reason: `its hash is not the one in the tile above it` });
}

function hashOf(node: NodeId, size: number, tiles: Tiles): Uint8Array {
  const tile = tileFor(node, size);
  return nodeHashIn(tiles.get(tilePath(tile)) as Uint8Array, tile, node);
}

/** The node over all hashes of a full tile. */
function nodeOver({ level, index }: Tile): NodeId {
  return { level: (level + 1) * TILE_HEIGHT, index };
}

function isFull({ width }: Tile): boolean {
  return width === TILE_WIDTH;
}
