import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex, utf8 } from '../../src/core/bytes.ts';
import { appendLeaves, EMPTY_TREE, headOf, rootOfTree } from '../../src/core/log-tree.ts';
import { leafHash, rootHash } from '../../src/core/merkle.ts';
import { newTiles, tilesOf } from '../../src/core/tile.ts';
import { storedLog, TileStore } from '../support/tile-store.ts';

const { small } = JSON.parse(readFileSync(new URL('../vectors/tlog.json', import.meta.url), 'utf8'));
const leaves = Array.from({ length: 70_000 }, (_, at) => leafHash(utf8(`entry ${at}`)));

test('the empty tree has the root of no leaves', () => {
  assert.deepEqual(headOf(EMPTY_TREE), { size: 0, root: rootHash([]) });
  assert.deepEqual(appendLeaves(EMPTY_TREE, []), { tree: EMPTY_TREE, tiles: [] });
});

test('growing leaf by leaf to 600 has the right root, tiles and edge at each size', () => {
  const store = new TileStore();
  let tree = EMPTY_TREE;
  for (let size = 1; size <= 600; size++) {
    const grown = appendLeaves(tree, leaves.slice(size - 1, size));
    store.put(grown.tiles);
    tree = grown.tree;
    assert.equal(tree.size, size);
    assert.equal(toHex(rootOfTree(tree)), toHex(rootHash(leaves.slice(0, size))), `size ${size}`);
    const tiles = grown.tiles.map(({ level, index, hashes }) => ({ level, index, width: hashes.length / 32 }));
    assert.deepEqual(tiles, newTiles(size - 1, size));
    const edge = tree.edge.map((bytes, level) => ({ level, bytes })).filter(({ bytes }) => bytes.length > 0);
    assert.deepEqual(
      edge.map(({ bytes }) => bytes),
      tilesOf(size).map((tile) => store.tile(tile)),
    );
  }
});

for (const { size, root } of small.roots) {
  test(`a log of ${size} in one batch has the root that sumdb/tlog has`, () => {
    assert.equal(toHex(headOf(appendLeaves(EMPTY_TREE, leaves.slice(0, size)).tree).root), root);
  });
}

test('however the leaves come in batches, tree and tiles are the same', () => {
  const batches = fc.array(fc.oneof(fc.nat(10), fc.nat(700), fc.constantFrom(255, 256, 257, 512)), { maxLength: 12 });
  fc.assert(
    fc.property(batches, (sizes) => {
      const store = new TileStore();
      let tree = EMPTY_TREE;
      for (const size of sizes) {
        const old = tree.size;
        const grown = appendLeaves(tree, leaves.slice(old, old + size));
        store.put(grown.tiles);
        tree = grown.tree;
        assert.deepEqual(
          grown.tiles.map(({ level, index, hashes }) => ({ level, index, width: hashes.length / 32 })),
          newTiles(old, tree.size),
        );
      }
      const whole = storedLog(leaves.slice(0, tree.size), 100_000);
      assert.deepEqual(tree, whole.tree);
      assert.deepEqual(store.rows, whole.store.rows);
    }),
    { numRuns: 50 },
  );
});

test('a tree that grew from another leaves that one as it was', () => {
  const { tree } = appendLeaves(EMPTY_TREE, leaves.slice(0, 300));
  const before = toHex(rootOfTree(tree));
  const [one, other] = [leaves.slice(300, 700), leaves.slice(700, 900)].map((more) => appendLeaves(tree, more));
  assert.equal(toHex(rootOfTree(tree)), before);
  assert.notEqual(toHex(rootOfTree(one?.tree ?? tree)), toHex(rootOfTree(other?.tree ?? tree)));
});

test('a large batch is not kept in memory by the edge', () => {
  const { tree } = appendLeaves(EMPTY_TREE, leaves.slice(0, 2_000));
  for (const bytes of tree.edge) assert.ok(bytes.buffer.byteLength <= 8_192, `${bytes.buffer.byteLength} bytes`);
});
