import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { type PackageChange, parseChangesQuery } from '../../../src/core/npm-changes.ts';
import { createBell } from '../../../src/io/bell.ts';
import type { ChangeDocs } from '../../../src/origin/changes/change-docs.ts';
import { continuousFeed, longPoll, pageInPieces, type Reader } from '../../../src/origin/changes/change-feeds.ts';
import type { ChangedPackages } from '../../../src/origin/changes/changed-packages.ts';

const changes: PackageChange[] = [1, 2, 3].map((seq) => ({ seq, id: `p${seq}`, rev: `1-${seq}`, deleted: false }));
const noDocs: ChangeDocs = { line: () => assert.fail('nobody asked for documents') };

/** Packages that have changed only once somebody has looked, just before the look says that they have not. */
function changedWhileLooking(ring: () => void): ChangedPackages {
  let looks = 0;
  return {
    newest: async () => {
      looks += 1;
      if (looks > 1) return 3;
      ring();
      return 0;
    },
    count: async () => 3,
    after: async (since, to, limit) => {
      const page = changes.filter(({ seq }) => seq > since && seq <= to).slice(0, limit);
      return { changes: page, position: page.at(-1)?.seq ?? to };
    },
    before: async () => [],
  };
}

function readerOf(query: string, base: string | null = null): Reader {
  const parsed = parseChangesQuery(query);
  const limit = parsed.limit ?? Number.POSITIVE_INFINITY;
  return { query: parsed, since: 0, limit, base, signal: new AbortController().signal };
}

for (const [kind, feed] of [
  ['continuous', continuousFeed],
  ['longpoll', longPoll],
] as const) {
  test(`a change between looking and waiting does not leave a ${kind} feed asleep`, async () => {
    const bell = createBell();
    const deps = { packages: changedWhileLooking(bell.ring), docs: noDocs, bell };
    const body = await text(Readable.from(feed(readerOf(`feed=${kind}&limit=3&heartbeat=60000`), deps)));
    assert.deepEqual(body.match(/p\d/g), ['p1', 'p2', 'p3']);
  });
}

test('a bell that rings for nothing puts off neither heartbeat nor end', async (t) => {
  const bell = createBell();
  const ringing = setInterval(bell.ring, 10);
  t.after(() => clearInterval(ringing));
  const packages = { ...changedWhileLooking(() => undefined), newest: async () => 0 };
  const deps = { packages, docs: noDocs, bell };
  for (const feed of [continuousFeed, longPoll]) {
    const beating = feed(readerOf('heartbeat=100'), deps);
    let piece = await beating.next();
    if (feed === longPoll) piece = await beating.next();
    assert.equal(Buffer.from(piece.value as Uint8Array).toString(), '\n');
    const ending = await text(Readable.from(feed(readerOf('timeout=50'), deps)));
    assert.match(ending, /"last_seq":0/);
  }
});

test('a page ends where its documents have become many bytes, and says where to go on', async () => {
  const megabytes = Buffer.alloc(10 * 1024 * 1024, '"');
  const docs: ChangeDocs = {
    line: async ({ seq }) => Buffer.concat([Buffer.from(`{"seq":${seq},"doc":0}`), megabytes]),
  };
  const packages = { ...changedWhileLooking(() => undefined), newest: async () => 3 };
  const pieces: string[] = [];
  const reader = readerOf('include_docs=true', 'http://door.example');
  for await (const piece of pageInPieces(reader, 3, { packages, docs, bell: createBell() })) {
    pieces.push(Buffer.from(piece).subarray(0, 40).toString());
  }
  assert.deepEqual(
    pieces.filter((piece) => piece.startsWith('{"seq"')).map((piece) => JSON.parse(piece.slice(0, 17)).seq),
    [1, 2],
  );
  assert.equal(pieces.at(-1), '\n],\n"last_seq":2,"pending":1}\n');
});
