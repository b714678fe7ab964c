import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { concat, toHex, utf8 } from '../../src/core/bytes.ts';
import { leafHash, type NodeId, rootHash } from '../../src/core/merkle.ts';
import {
  bundlePath,
  newTiles,
  nodeHashIn,
  parseTilePath,
  rootOfEdge,
  TILE_WIDTH,
  type Tile,
  tileFor,
  tilePath,
  tilesOf,
} from '../../src/core/tile.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/tlog.json', import.meta.url), 'utf8'));

const paths: [path: string, level: number, index: number, width: number][] = [
  ['tile/0/000', 0, 0, 256],
  ['tile/0/000.p/1', 0, 0, 1],
  ['tile/0/000.p/255', 0, 0, 255],
  ['tile/3/001', 3, 1, 256],
  ['tile/0/999', 0, 999, 256],
  ['tile/0/x001/000', 0, 1_000, 256],
  ['tile/0/x001/234.p/5', 0, 1_234, 5],
  ['tile/2/x001/x234/067', 2, 1_234_067, 256],
  ['tile/5/x123/x456/078.p/2', 5, 123_456_078, 2],
  ['tile/0/x016/x777/x216/000', 0, 2 ** 24 * 1_000, 256],
  ['tile/63/x009/x007/x199/x254/x740/991.p/9', 63, Number.MAX_SAFE_INTEGER, 9],
];
for (const [path, level, index, width] of paths) {
  test(`${path} is a tile, and the only path of it`, () => {
    assert.equal(tilePath({ level, index, width }), path);
    assert.deepEqual(parseTilePath(path.split('/').slice(1)), { kind: 'hashes', tile: { level, index, width } });
  });
  test(`${path} has entries if its level is replaced`, () => {
    const entries = path.replace(/^tile\/\d+/, 'tile/entries');
    assert.equal(bundlePath({ index, width }), entries);
    assert.deepEqual(parseTilePath(entries.split('/').slice(1)), { kind: 'entries', bundle: { index, width } });
  });
}

const noPaths = [
  ...['', '0', '0/', '/000', '0/0', '0/00', '0/0000', '0/000/', '0//000', '0/x000/000', '0/x000', '0/001/234'],
  ...['0/x01/234', '0/X001/234', '0/x001/x234', '0/x001/x234/', '0/-01', '0/+01', '0/1e3', '0/ 01', '0/001 ', '0/0x1'],
  ...['0/000.p', '0/000.p/', '0/000.p/0', '0/000.p/256', '0/000.p/05', '0/000.p/1000', '0/000.p/-1', '0/000.p/x05'],
  ...['0/000.q/5', '0/000p/5', '0/000.p/5/6', '0/x001.p/5/000', '0/000.P/5', '0/000.p/5.p/5'],
  ...[
    '00/000',
    '64/000',
    '-1/000',
    'x/000',
    'NaN/000',
    '1e1/000',
    '0x0/000',
    '+1/000',
    'entries',
    'entries/0',
    'data/000',
  ],
  ...[
    'Entries/000',
    'entries/000.p/256',
    'entries/0/000',
    '0/x009/x007/x199/x254/x740/992',
    `0/${'x999/'.repeat(99)}999`,
  ],
  ...['0/０００', '0/../000', '0/%30%30%30', '0/000\n', '0/000?', '8/0/000', 'tile/0/000'],
];
test('whatever else is no path', () => {
  for (const path of noPaths) assert.equal(parseTilePath(path.split('/')), null, path);
});

test('all tiles and bundles come back from their paths, and nothing else is read', () => {
  const level = fc.nat(63);
  const index = fc.oneof(fc.nat(2_000_000), fc.maxSafeNat());
  const width = fc.integer({ min: 1, max: TILE_WIDTH });
  fc.assert(
    fc.property(level, index, width, (level, index, width) => {
      const tile = { level, index, width };
      assert.deepEqual(parseTilePath(tilePath(tile).split('/').slice(1)), { kind: 'hashes', tile });
      const bundle = { index, width };
      assert.deepEqual(parseTilePath(bundlePath(bundle).split('/').slice(1)), { kind: 'entries', bundle });
    }),
  );
  const segment = fc.oneof(fc.string({ unit: fc.constantFrom(...'0123456789x.p/-e'), maxLength: 5 }), fc.string());
  fc.assert(
    fc.property(fc.array(segment), (segments) => {
      const read = parseTilePath(segments);
      if (read === null) return;
      const printed = read.kind === 'hashes' ? tilePath(read.tile) : bundlePath(read.bundle);
      assert.equal(printed, ['tile', ...segments].join('/'));
    }),
    { numRuns: 2_000 },
  );
});

test('a log of 70,000 has the tiles that tlog-tiles says', () => {
  assert.deepEqual(tilesOf(70_000).map(tilePath), ['tile/0/273.p/112', 'tile/1/001.p/17', 'tile/2/000.p/1']);
  const all = newTiles(0, 70_000);
  const full = (level: number) => all.filter((tile) => tile.level === level && tile.width === TILE_WIDTH).length;
  assert.deepEqual([full(0), full(1), full(2), all.length], [273, 1, 0, 277]);
});

test('a log of 256 has a full tile and one of a single hash above it', () => {
  assert.deepEqual(newTiles(0, 256).map(tilePath), ['tile/0/000', 'tile/1/000.p/1']);
  assert.deepEqual(tilesOf(256).map(tilePath), ['tile/1/000.p/1']);
});

test('a log without entries has no tiles', () => {
  assert.deepEqual(tilesOf(0), []);
  assert.deepEqual(newTiles(0, 0), []);
  assert.equal(toHex(rootOfEdge([])), toHex(rootHash([])));
});

for (const { old, size, paths } of vectors.newTiles) {
  test(`from ${old} to ${size} a log gets the tiles that sumdb/tlog names`, () => {
    assert.deepEqual(newTiles(old, size).map(tilePath), paths);
  });
}

test('each size to 70,000 has the widths that tlog-tiles defines', () => {
  const sizes = fc.oneof(
    fc.integer({ min: 1, max: 70_000 }),
    fc.maxSafeNat().filter((size) => size > 0),
  );
  fc.assert(
    fc.property(sizes, (size) => {
      const expected = [];
      for (let level = 0n; BigInt(size) / 256n ** level > 0n; level++) {
        const count = BigInt(size) / 256n ** level;
        if (count % 256n === 0n) continue;
        expected.push({ level: Number(level), index: Number(count / 256n), width: Number(count % 256n) });
      }
      assert.deepEqual(tilesOf(size), expected);
    }),
  );
});

test('the tile of a node is the one of its level of eight, as wide as the log has it', () => {
  const size = 70_000;
  const cases: [NodeId, Tile][] = [
    [
      { level: 0, index: 0 },
      { level: 0, index: 0, width: 256 },
    ],
    [
      { level: 0, index: 69_999 },
      { level: 0, index: 273, width: 112 },
    ],
    [
      { level: 7, index: 1 },
      { level: 0, index: 0, width: 256 },
    ],
    [
      { level: 8, index: 272 },
      { level: 1, index: 1, width: 17 },
    ],
    [
      { level: 16, index: 0 },
      { level: 2, index: 0, width: 1 },
    ],
    [
      { level: 6, index: 1_092 },
      { level: 0, index: 273, width: 112 },
    ],
  ];
  for (const [node, tile] of cases) assert.deepEqual(tileFor(node, size), tile);
  const large = tileFor({ level: 0, index: 2 ** 40 + 300 }, 2 ** 40 + 400);
  assert.deepEqual(large, { level: 0, index: 2 ** 32 + 1, width: 144 });
});

test('a node that the log does not have has no tile', () => {
  const beyond: NodeId[] = [
    { level: 0, index: 70_000 },
    { level: 6, index: 1_093 },
    { level: 7, index: 546 },
    { level: 8, index: 273 },
    { level: 17, index: 0 },
    { level: 24, index: 0 },
    { level: 0, index: -1 },
  ];
  for (const node of beyond) assert.throws(() => tileFor(node, 70_000), RangeError, JSON.stringify(node));
});

test('every node inside a tile is folded from it', () => {
  const hashes = Array.from({ length: TILE_WIDTH }, (_, at) => leafHash(utf8(`${at}`)));
  const tile = { level: 1, index: 5, width: 200 };
  const bytes = concat(hashes.slice(0, tile.width));
  for (let height = 0; height < 8; height++) {
    const span = 2 ** height;
    for (let at = 0; at < TILE_WIDTH; at += span) {
      const node = { level: 8 + height, index: (5 * TILE_WIDTH + at) / span };
      const fold = () => nodeHashIn(bytes, tile, node);
      if (at + span > tile.width) assert.throws(fold, RangeError);
      else assert.equal(toHex(fold()), toHex(rootHash(hashes.slice(at, at + span))));
    }
  }
  for (const node of [
    { level: 8, index: 4 * TILE_WIDTH },
    { level: 0, index: 5 * TILE_WIDTH },
    { level: 16, index: 5 },
  ]) {
    assert.throws(() => nodeHashIn(bytes, tile, node), /tile\/1\/005\.p\/200 does not hold node/);
  }
});
