import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8 } from '../../src/core/bytes.ts';
import { appendLeaves, headOf } from '../../src/core/log-tree.ts';
import {
  checkConsistency,
  leafHash,
  proveConsistency,
  rootHash,
  type TreeHead,
  treeHash,
} from '../../src/core/merkle.ts';
import type { Growth } from '../../src/io/metadata-store.ts';
import { growTree, readTree, storedHashes } from '../../src/io/stored-tree.ts';

const entries = Array.from({ length: 66_000 }, (_, at) => utf8(`entry ${at}`));
const leaves = entries.map(leafHash);
const SIZES = [0, 1, 255, 256, 257, 511, 512, 1_000, 65_535, 65_536, 65_537, 66_000];

/** A place of a version without a tree, which was given one. In memory, and quicker than a store that looks at everything. */
async function storeOf(size: number) {
  let head: TreeHead = { size: 0, root: rootHash([]) };
  const tiles = new Map<string, Uint8Array>();
  const store = {
    size: async () => size,
    head: async () => head,
    tile: async (level: number, index: number) => tiles.get(`${level}/${index}`) ?? null,
    entries: async (from: number, limit: number) => entries.slice(from, Math.min(from + limit, size)),
    append: async (_: readonly Uint8Array[], growth: Growth) => {
      assert.deepEqual(growth.from, head);
      for (const { level, index, hashes } of growth.tiles) tiles.set(`${level}/${index}`, hashes);
      head = growth.to;
    },
  };
  await growTree(store);
  return store;
}

test('a tree that grew in steps is read back as it was, at sizes around full tiles', async () => {
  for (const size of SIZES) {
    const tree = await readTree(await storeOf(size));
    assert.deepEqual(headOf(tree), { size, root: rootHash(leaves.slice(0, size)) });
    // It can grow on from there.
    const grown = appendLeaves(tree, leaves.slice(size, size + 300)).tree;
    assert.deepEqual(headOf(grown).root, rootHash(leaves.slice(0, size + 300)));
  }
});

test('hashes of every smaller tree can be read, too', async () => {
  const store = await storeOf(66_000);
  const { size, root } = await store.head();
  const read = storedHashes(store, size);
  for (const old of SIZES.slice(1)) {
    const oldRoot = await treeHash(old, storedHashes(store, old));
    assert.deepEqual(oldRoot, rootHash(leaves.slice(0, old)));
    checkConsistency(await proveConsistency(old, size, read), { size: old, root: oldRoot }, { size, root });
  }
});

test('a store whose tiles are missing, short or wrong is no place to append to', async () => {
  const good = await storeOf(300);
  const tile = (change: (hashes: Uint8Array) => Uint8Array | null) => ({
    head: () => good.head(),
    tile: async (level: number, index: number) => {
      const hashes = await good.tile(level, index);
      return hashes && level === 0 ? change(hashes) : hashes;
    },
  });
  await assert.rejects(readTree(tile(() => null)), /tile\/0\/001\.p\/44 is missing from the store/);
  await assert.rejects(readTree(tile((hashes) => hashes.subarray(32))), /is missing from the store/);
  const flipped = (hashes: Uint8Array) => hashes.with(0, (hashes[0] as number) ^ 1);
  await assert.rejects(readTree(tile(flipped)), /do not have the root of 300 entries/);
});
