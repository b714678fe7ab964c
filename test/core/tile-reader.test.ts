import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex, utf8 } from '../../src/core/bytes.ts';
import { WrongTileError } from '../../src/core/errors.ts';
import {
  checkConsistency,
  checkInclusion,
  edgeNodes,
  leafHash,
  type NodeId,
  proveConsistency,
  proveInclusion,
  rootHash,
  treeHash,
} from '../../src/core/merkle.ts';
import { type Tile, tilePath } from '../../src/core/tile.ts';
import { createTileReader, type FetchTiles } from '../../src/core/tile-reader.ts';
import { readerOf } from '../support/hash-reader.ts';
import { storedLog } from '../support/tile-store.ts';

const leaves = Array.from({ length: 70_000 }, (_, at) => leafHash(utf8(`entry ${at}`)));
const leafAt = (index: number) => leaves[index] as Uint8Array;
const { head, store } = storedLog(leaves);
const read = readerOf(leaves);
const fetchTiles: FetchTiles = async (tiles) => tiles.map((tile) => store.tile(tile));
const headAt = async (size: number) => ({ size, root: await treeHash(size, read) });

/** Counts what is fetched; lies about one tile, if told to. */
function spy(lie?: { path: string; bytes: (bytes: Uint8Array) => Uint8Array }): {
  fetch: FetchTiles;
  asked: string[][];
} {
  const asked: string[][] = [];
  const bytesOf = (tile: Tile) => (tilePath(tile) === lie?.path ? lie.bytes(store.tile(tile)) : store.tile(tile));
  const fetch: FetchTiles = async (tiles) => {
    asked.push(tiles.map(tilePath));
    return tiles.map(bytesOf);
  };
  return { fetch, asked };
}

const flip = (at: number) => (bytes: Uint8Array) => bytes.with(at, (bytes[at] as number) ^ 1);

test('what is read from tiles is what the leaves yield, whatever the size', async () => {
  const size = fc.oneof(
    fc.integer({ min: 1, max: 700 }),
    fc.constantFrom(255, 256, 257, 65_535, 65_536, 65_537, 70_000),
  );
  const node = (size: number) =>
    fc.nat(size - 1).chain((leaf) => {
      const level = fc.nat(16).filter((level) => (Math.floor(leaf / 2 ** level) + 1) * 2 ** level <= size);
      return level.map((level): NodeId => ({ level, index: Math.floor(leaf / 2 ** level) }));
    });
  const cases = size.chain((size) =>
    fc.tuple(
      fc.constant(size),
      fc.uniqueArray(node(size), { selector: (n) => `${n.level}/${n.index}`, minLength: 1, maxLength: 5 }),
    ),
  );
  await fc.assert(
    fc.asyncProperty(cases, async ([size, nodes]) => {
      assert.deepEqual(await createTileReader(await headAt(size), fetchTiles)(nodes), await read(nodes));
    }),
    { numRuns: 100 },
  );
});

test('tiles are fetched all at once, each once, and only those that are needed', async () => {
  const { fetch, asked } = spy();
  const nodes = [0, 1, 300, 69_999].map((index) => ({ level: 0, index }));
  await createTileReader(head, fetch)(nodes);
  const edge = ['tile/2/000.p/1', 'tile/1/001.p/17', 'tile/0/273.p/112'];
  assert.deepEqual(asked.length, 1);
  assert.deepEqual(asked[0]?.toSorted(), [...edge, 'tile/1/000', 'tile/0/000', 'tile/0/001'].toSorted());
});

test('proofs read from tiles are accepted', async () => {
  const reader = createTileReader(head, fetchTiles);
  assert.equal(toHex(await treeHash(head.size, reader)), toHex(head.root));
  for (const index of [0, 255, 256, 65_535, 65_536, 69_999]) {
    checkInclusion(await proveInclusion(head.size, index, reader), head, index, leafAt(index));
  }
  for (const size of [1, 255, 256, 257, 65_536, 69_999, 70_000]) {
    checkConsistency(await proveConsistency(size, head.size, reader), await headAt(size), head);
  }
});

test('a flipped bit anywhere in any tile that is looked at is found, and no hash given out', async () => {
  const nodes: NodeId[] = [{ level: 0, index: 1_000 }, ...edgeNodes(70_000)];
  const paths = spy();
  await createTileReader(head, paths.fetch)(nodes);
  const looked = (paths.asked[0] ?? []).map((path) => ({ path, bytes: widthOf(path) * 32 }));
  const place = fc.constantFrom(...looked).chain(({ path, bytes }) => fc.tuple(fc.constant(path), fc.nat(bytes - 1)));
  await fc.assert(
    fc.asyncProperty(place, async ([path, at]) => {
      const { fetch } = spy({ path, bytes: flip(at) });
      const refused = createTileReader(head, fetch)(nodes);
      await assert.rejects(refused, (error) => error instanceof WrongTileError && error.paths.includes(path));
    }),
    { numRuns: 100 },
  );
});

function widthOf(path: string): number {
  return Number(/\.p\/(\d+)$/.exec(path)?.[1] ?? 256);
}

test('the refusal names the tile', async () => {
  const nodes = [{ level: 0, index: 1_000 }];
  const refused = (path: string, bytes: (bytes: Uint8Array) => Uint8Array) =>
    createTileReader(
      head,
      spy({ path, bytes }).fetch,
    )(nodes).then(
      () => assert.fail('accepted'),
      (error: WrongTileError) => error,
    );
  const full = await refused('tile/0/003', flip(0));
  assert.deepEqual(full.paths, ['tile/0/003']);
  assert.equal(full.message, 'tile/0/003: its hash is not the one in the tile above it');
  const above = await refused('tile/1/000', flip(100));
  assert.deepEqual(above.paths, ['tile/1/000']);
  const edge = await refused('tile/1/001.p/17', flip(0));
  assert.deepEqual(edge.paths, ['tile/0/273.p/112', 'tile/1/001.p/17', 'tile/2/000.p/1']);
  assert.match(edge.message, /another root of the tree of 70000: [0-9a-f]{64}, not [0-9a-f]{64}/);
  const short = await refused('tile/0/003', (bytes) => bytes.subarray(32));
  assert.equal(short.message, 'tile/0/003: 8160 bytes, expected 8192');
  const long = await refused('tile/0/273.p/112', (bytes) => Uint8Array.from([...bytes, ...bytes.subarray(0, 32)]));
  assert.deepEqual(long.paths, ['tile/0/273.p/112']);
});

test('tiles of another log, in each other’s place or not there at all are refused', async () => {
  const nodes = [{ level: 0, index: 1_000 }];
  const other = storedLog(leaves.toReversed());
  const wrong: FetchTiles[] = [
    async (tiles) => tiles.map((tile) => other.store.tile(tile)),
    async (tiles) => (await fetchTiles(tiles)).reverse(),
    async (tiles) => (await fetchTiles(tiles)).slice(0, -1),
    async () => [],
    async (tiles) => tiles.map(() => new Uint8Array(0)),
  ];
  for (const fetch of wrong) await assert.rejects(createTileReader(head, fetch)(nodes), WrongTileError);
});

test('tiles of the same log at another size or under another root are refused', async () => {
  const nodes = [{ level: 0, index: 1_000 }];
  await assert.rejects(
    createTileReader({ ...head, root: (await headAt(69_999)).root }, fetchTiles)(nodes),
    WrongTileError,
  );
  await assert.rejects(createTileReader({ ...head, size: 69_999 }, fetchTiles)(nodes), WrongTileError);
});

test('what the fetch rejects with is what the reader rejects with', async () => {
  const lost = new Error('connection lost');
  await assert.rejects(createTileReader(head, () => Promise.reject(lost))([{ level: 0, index: 0 }]), lost);
});

test('a node beyond the tree is refused before anything is fetched', async () => {
  const { fetch, asked } = spy();
  await assert.rejects(createTileReader(head, fetch)([{ level: 0, index: 70_000 }]), RangeError);
  assert.deepEqual(asked, []);
});

test('the empty log has no hashes, and only one root', async () => {
  const root = rootHash([]);
  assert.deepEqual(await createTileReader({ size: 0, root }, fetchTiles)([]), []);
  await assert.rejects(createTileReader({ size: 0, root: leafAt(0) }, fetchTiles)([]), WrongTileError);
});
