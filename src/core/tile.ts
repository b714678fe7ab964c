/**
 * Tiles: the hashes of a log in files of 256, as in C2SP tlog-tiles (https://c2sp.org/tlog-tiles). Where they lie, which
 * there are, and what is in them.
 *
 * A tile of level L holds up to 256 hashes side by side, each that of a full subtree of 256^L leaves. The eight levels
 * of nodes above them are not stored: they are folded up from the tile. The hash over a whole full tile is one hash of
 * the tile above it. A log of n entries has, at each level, full tiles and at most one partial tile, its growing edge.
 */

import { SHA256_BYTES } from './hash.ts';
import { type NodeId, rootHash } from './merkle.ts';

/** Hashes in a full tile. */
export const TILE_WIDTH = 256;
/** Levels of nodes that one level of tiles spans: 2^8 = 256. */
export const TILE_HEIGHT = 8;

/** A tile as it stood when it had `width` hashes, 1 to 256. */
export type Tile = { readonly level: number; readonly index: number; readonly width: number };

/** The entries under the level 0 tile of the same index and width. */
export type Bundle = { readonly index: number; readonly width: number };

/** Either kind of file. */
export type TilePath =
  | { readonly kind: 'hashes'; readonly tile: Tile }
  | { readonly kind: 'entries'; readonly bundle: Bundle };

// C2SP tlog-tiles allows levels to 63; sizes that are safe integers never get there.
const LEVEL_MAX = 63;

/** Path of a tile below the log's URL, such as `tile/0/x001/234.p/5`. */
export function tilePath({ level, index, width }: Tile): string {
  return `tile/${level}/${numberPath(index, width)}`;
}

/** Path of a bundle below the log's URL, such as `tile/entries/x001/234.p/5`. */
export function bundlePath({ index, width }: Bundle): string {
  return `tile/entries/${numberPath(index, width)}`;
}

/**
 * Reads what stands behind `tile/` in a path.
 * @param segments such as `['0', 'x001', '234.p', '5']`
 * @returns null for everything that {@link tilePath} and {@link bundlePath} would not print
 */
export function parseTilePath(segments: readonly string[]): TilePath | null {
  const [kind = '', ...number] = segments;
  const [, digits = '', partial] = /^((?:x\d{3}\/)*\d{3})(?:\.p\/(\d{1,3}))?$/.exec(number.join('/')) ?? [];
  const index = Number(digits.replaceAll(/[x/]/g, ''));
  const width = partial === undefined ? TILE_WIDTH : Number(partial);
  const level = kind === 'entries' ? 0 : Number(kind);
  if (!isTile({ level, index, width })) return null;
  // Leading zeros, a width of 256 and the like have numbers, too: a tile has one path, the one that is printed.
  const printed = kind === 'entries' ? bundlePath({ index, width }) : tilePath({ level, index, width });
  if (printed !== ['tile', ...segments].join('/')) return null;
  return kind === 'entries' ? { kind, bundle: { index, width } } : { kind: 'hashes', tile: { level, index, width } };
}

/**
 * The tile to look into for the hash of a node, as wide as it is in a log of this size.
 * @throws RangeError if the node is no full subtree of a tree of this size
 */
export function tileFor(node: NodeId, size: number): Tile {
  const { level, first, count } = placeOf(node);
  const index = Math.floor(first / TILE_WIDTH);
  const width = Math.min(TILE_WIDTH, hashesAt(level, size) - index * TILE_WIDTH);
  if (first >= 0 && first + count <= index * TILE_WIDTH + width) return { level, index, width };
  throw new RangeError(`a tree of ${size} has no full subtree ${node.index} of level ${node.level}`);
}

/**
 * Hash of a node, folded up from the tile that it is in.
 * @param bytes all of the tile
 */
export function nodeHashIn(bytes: Uint8Array, tile: Tile, node: NodeId): Uint8Array {
  const { level, first, count } = placeOf(node);
  const at = first - tile.index * TILE_WIDTH;
  if (level === tile.level && at >= 0 && at + count <= tile.width) {
    return rootHash(hashesIn(bytes.subarray(at * SHA256_BYTES, (at + count) * SHA256_BYTES)));
  }
  throw new RangeError(`${tilePath(tile)} does not hold node ${node.index} of level ${node.level}`);
}

/** The hashes that a tile's bytes are made of. */
export function hashesIn(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: bytes.length / SHA256_BYTES }, (_, at) =>
    bytes.subarray(at * SHA256_BYTES, (at + 1) * SHA256_BYTES),
  );
}

/**
 * The right edge of a log of this size: its partial tiles, lowest level first, at most one at each level. Together they
 * yield the root hash ({@link rootOfEdge}). None if the log is empty.
 */
export function tilesOf(size: number): Tile[] {
  const tiles: Tile[] = [];
  for (let level = 0; hashesAt(level, size) > 0; level++) {
    const count = hashesAt(level, size);
    const width = count % TILE_WIDTH;
    if (width > 0) tiles.push({ level, index: Math.floor(count / TILE_WIDTH), width });
  }
  return tiles;
}

/**
 * Root of the tree whose right edge has these hashes: the bytes of its partial tiles, lowest level first. Levels without
 * a partial tile may be there, empty.
 *
 * At each level, whatever the levels below make up is the last, smaller subtree behind the level's own full ones.
 */
export function rootOfEdge(edge: readonly Uint8Array[]): Uint8Array {
  let below: Uint8Array[] = [];
  for (const bytes of edge) {
    const hashes = [...hashesIn(bytes), ...below];
    if (hashes.length > 0) below = [rootHash(hashes)];
  }
  return rootHash(below);
}

/** The tiles that a log gets as it grows from one size to another, lowest level first. Full tiles that it had are not. */
export function newTiles(oldSize: number, size: number): Tile[] {
  const tiles: Tile[] = [];
  for (let level = 0; hashesAt(level, size) > 0; level++) {
    const [old, now] = [hashesAt(level, oldSize), hashesAt(level, size)];
    // A tile is new if it holds a hash from old up to now.
    for (let index = Math.floor(old / TILE_WIDTH); old < now && index * TILE_WIDTH < now; index++) {
      tiles.push({ level, index, width: Math.min(TILE_WIDTH, now - index * TILE_WIDTH) });
    }
  }
  return tiles;
}

/** Where the hashes lie from which a node's is folded: the level of tiles, the first hash there, how many. */
function placeOf({ level, index }: NodeId): { level: number; first: number; count: number } {
  const count = 2 ** (level % TILE_HEIGHT);
  return { level: Math.floor(level / TILE_HEIGHT), first: index * count, count };
}

/** How many hashes a log of this size has in its tiles of one level. */
function hashesAt(level: number, size: number): number {
  return Math.floor(size / TILE_WIDTH ** level);
}

/** `x001/x234/067` for 1234067, with the width behind it if the tile is partial. */
function numberPath(index: number, width: number): string {
  const digits = String(index);
  const threes = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g) ?? [];
  const path = threes.map((three, at) => (at === threes.length - 1 ? three : `x${three}`)).join('/');
  return width === TILE_WIDTH ? path : `${path}.p/${width}`;
}

function isTile({ level, index, width }: Tile): boolean {
  const isNumber = Number.isInteger(level) && Number.isSafeInteger(index);
  return isNumber && level >= 0 && level <= LEVEL_MAX && width >= 1 && width <= TILE_WIDTH;
}
