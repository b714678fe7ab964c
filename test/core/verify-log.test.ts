import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { formatEntry } from '../../src/core/entry.ts';
import { leafHash, rootHash, type TreeHead } from '../../src/core/merkle.ts';
import { type LogReader, verifyLog } from '../../src/core/verify-log.ts';
import { MemoryMetadataStore } from '../support/memory-metadata-store.ts';
import { appendTo } from '../support/storage/append-to.ts';

/** Two tiles that are full, one that is not, and one above them. */
const SIZE = 600;
const PUBLISHED = 400;
const commit = (time: number) => formatEntry({ kind: 'commit', time });
const entries = Array.from({ length: SIZE }, (_, i) =>
  i === PUBLISHED - 1 || i === SIZE - 1
    ? commit(i)
    : formatEntry({ kind: 'learned', time: i, name: 'x', head: 'a'.repeat(64) }),
);
const headAt = (size: number): TreeHead => ({ size, root: rootHash(entries.slice(0, size).map(leafHash)) });

let store: MemoryMetadataStore;
before(async () => {
  store = new MemoryMetadataStore();
  await appendTo(store, entries);
});

const readerOf = (changed: Partial<LogReader> = {}): LogReader => ({
  size: () => store.size(),
  head: () => store.head(),
  entries: (from, limit) => store.entries(from, limit),
  tile: (level, index) => store.tile(level, index),
  ...changed,
});

/** A reader whose tile is another one. */
const withTile = (level: number, index: number, change: (bytes: Uint8Array) => Uint8Array | null): LogReader =>
  readerOf({
    tile: async (...at) => {
      const bytes = await store.tile(...at);
      return at[0] === level && at[1] === index && bytes !== null ? change(bytes) : bytes;
    },
  });

const flipped = (at: number) => (bytes: Uint8Array) => bytes.with(at, (bytes[at] as number) ^ 1);
const none = async () => null;

test('a sound log, and what of it is published', async () => {
  const check = await verifyLog(readerOf(), async () => headAt(PUBLISHED));
  assert.deepEqual(check.problems, []);
  assert.deepEqual(check.notes, []);
  assert.equal(check.counted, '1 checkpoint, 600 entries, 4 tiles: tiles and root as the entries make them');
});

test('an empty log', async () => {
  const check = await verifyLog(readerOf({ ...emptyLog() }), none);
  assert.deepEqual([check.problems, check.counted], [[], 'nothing']);
});

const faults: readonly [string, LogReader, () => Promise<TreeHead | null>, { subject: string; what: RegExp }[]][] = [
  [
    'a wrong hash in a full tile',
    withTile(0, 1, flipped(32 * 9)),
    none,
    [{ subject: 'tile/0/001', what: /^hash 9 is not what the entries make it/ }],
  ],
  ['a tile that is missing', withTile(1, 0, () => null), none, [{ subject: 'tile/1/000.p/2', what: /missing/ }]],
  [
    'a tile that is too short',
    withTile(0, 2, (bytes) => bytes.subarray(32)),
    none,
    [{ subject: 'tile/0/002.p/88', what: /^only 87 hashes/ }],
  ],
  [
    'a tile that holds more than there are entries',
    withTile(0, 2, (bytes) => new Uint8Array([...bytes, ...bytes.subarray(0, 32)])),
    none,
    [{ subject: 'tile/0/002.p/88', what: /^89 hashes/ }],
  ],
  [
    'an entry that was changed',
    readerOf({
      entries: async (from, limit) =>
        (await store.entries(from, limit)).map((entry, i) => (from + i === 300 ? commit(300) : entry)),
    }),
    none,
    [
      { subject: 'tile/0/001', what: /^hash 44 / },
      { subject: 'head', what: /^its root is [0-9a-f]{64}, that of the entries [0-9a-f]{64}$/ },
      { subject: 'tile/1/000.p/2', what: /^hash 1 / },
    ],
  ],
  [
    'entries that are missing',
    readerOf({ entries: async (from, limit) => (await store.entries(from, limit)).filter((_, i) => from + i < 500) }),
    none,
    [{ subject: 'journal', what: /^entry 500 is missing/ }],
  ],
  [
    'a checkpoint with another root',
    readerOf(),
    async () => ({ size: PUBLISHED, root: headAt(PUBLISHED - 1).root }),
    [{ subject: 'checkpoint', what: /^its root is/ }],
  ],
  [
    'a checkpoint that ends in no commit',
    readerOf(),
    async () => headAt(300),
    [{ subject: 'checkpoint', what: /ends in entry 299, which is no commit but learned/ }],
  ],
  [
    'a checkpoint of more entries than there are',
    readerOf(),
    async () => ({ ...headAt(SIZE), size: SIZE + 1 }),
    [{ subject: 'checkpoint', what: /^it tells of 601 entries, there are 600/ }],
  ],
  [
    'a checkpoint that nobody signed',
    readerOf(),
    () => Promise.reject(new Error('not signed')),
    [{ subject: 'checkpoint', what: /^not signed/ }],
  ],
];

for (const [fault, reader, checkpoint, expected] of faults) {
  test(`finds ${fault}`, async () => {
    const { problems } = await verifyLog(reader, checkpoint);
    assert.deepEqual(
      problems.map(({ subject }) => subject),
      expected.map(({ subject }) => subject),
    );
    for (const [i, { what }] of expected.entries()) assert.match(problems[i]?.what ?? '', what);
  });
}

test('a log that grows meanwhile is sound', async () => {
  const growing = new MemoryMetadataStore();
  await appendTo(growing, entries);
  let grown = false;
  const reader = readerOf({
    head: () => growing.head(),
    tile: async (level, index) => {
      if (!grown) await appendTo(growing, [commit(SIZE)]);
      grown = true;
      return growing.tile(level, index);
    },
  });
  assert.deepEqual((await verifyLog(reader, async () => headAt(SIZE))).problems, []);
  assert.ok(grown);
});

test('entries that a version without a tree left are no fault', async () => {
  const check = await verifyLog(readerOf({ ...emptyLog(), size: async () => 2 }), none);
  assert.deepEqual(check.problems, []);
  assert.deepEqual(check.notes, ['2 entries are not in the tree yet; the next start takes them in']);
});

function emptyLog(): Pick<LogReader, 'size' | 'head' | 'entries' | 'tile'> {
  const empty = new MemoryMetadataStore();
  return { size: () => empty.size(), head: () => empty.head(), entries: async () => [], tile: async () => null };
}
