import assert from 'node:assert/strict';
import { equal } from '../../src/core/bytes.ts';
import { SHA256_BYTES } from '../../src/core/hash.ts';
import { appendLeaves, EMPTY_TREE, headOf, type LogTree, type TileRow } from '../../src/core/log-tree.ts';
import type { TreeHead } from '../../src/core/merkle.ts';
import { TILE_WIDTH, type Tile, tilePath } from '../../src/core/tile.ts';

/** Keeps the tiles of a log that grows. Complains if a tile ever changes or leaves a gap, or one is asked for too wide. */
export class TileStore {
  readonly rows = new Map<string, Uint8Array>();

  put(rows: readonly TileRow[]): void {
    for (const { level, index, hashes } of rows) {
      const name = `${level}/${index}`;
      const before = this.rows.get(name) ?? new Uint8Array(0);
      assert.ok(
        hashes.length % SHA256_BYTES === 0 && hashes.length <= TILE_WIDTH * SHA256_BYTES,
        `${name}: ${hashes.length}`,
      );
      assert.ok(hashes.length > before.length && equal(hashes.subarray(0, before.length), before), `${name} must grow`);
      assert.ok(
        index === 0 || this.rows.get(`${level}/${index - 1}`)?.length === TILE_WIDTH * SHA256_BYTES,
        `gap at ${name}`,
      );
      this.rows.set(name, hashes);
    }
  }

  tile(tile: Tile): Uint8Array {
    const bytes = this.rows.get(`${tile.level}/${tile.index}`)?.subarray(0, tile.width * SHA256_BYTES);
    if (bytes?.length !== tile.width * SHA256_BYTES) throw new Error(`asked for ${tilePath(tile)}`);
    return bytes;
  }
}

/** A log of these leaves, appended in batches of that many, and its tiles. */
export function storedLog(
  leafHashes: readonly Uint8Array[],
  batch = 1_000,
): { tree: LogTree; head: TreeHead; store: TileStore } {
  const store = new TileStore();
  let tree = EMPTY_TREE;
  for (let at = 0; at < leafHashes.length; at += batch) {
    const grown = appendLeaves(tree, leafHashes.slice(at, at + batch));
    store.put(grown.tiles);
    tree = grown.tree;
  }
  return { tree, head: headOf(tree), store };
}
