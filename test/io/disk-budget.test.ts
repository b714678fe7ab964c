import assert from 'node:assert/strict';
import { utimesSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { StorageFullError } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { blobPath } from '../../src/io/blob-path.ts';
import type { BlobEvent, BlobId, CacheBlobStore } from '../../src/io/blob-store.ts';
import { openFileBlobStore } from '../../src/io/file-blob-store.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { until } from '../support/until.ts';
import { blobOf, bytesOf, collect, stream } from './blob-store-contract.ts';

const PUT = { maxBytes: 100_000_000, keyAlgorithm: 'sha512' } as const;
const some = Array.from({ length: 6 }, (_, seed) => bytesOf(1_000, seed + 1));
const idOf = (bytes: Uint8Array): BlobId => blobOf(bytes, 'sha512');

async function open(t: TestContext, bytesMax: number, dir = tempFolder()) {
  const events: BlobEvent[] = [];
  let now = 1_700_000_000_000;
  const store = await openFileBlobStore(dir, { bytesMax, hotBytesMax: 0, now: () => now, note: (e) => events.push(e) });
  t.after(() => store.close());
  const pass = (ms: number) => {
    now += ms;
  };
  return { store, dir, events, pass };
}

/** Puts a blob that nobody is going to read. */
async function put(store: CacheBlobStore, bytes: Uint8Array): Promise<void> {
  const growing = await store.grow(idOf(bytes), PUT);
  try {
    await growing.append(bytes);
    await growing.keep();
  } finally {
    await growing.end();
  }
}

async function held(store: CacheBlobStore, blobs: readonly Uint8Array[]): Promise<boolean[]> {
  return Promise.all(blobs.map((bytes) => store.has(idOf(bytes))));
}

test('a budget is kept by removing what was not used for the longest time', async (t) => {
  const { store, events } = await open(t, 3_000);
  for (const bytes of some.slice(0, 3)) await put(store, bytes);
  await store.read(idOf(some[0] as Uint8Array));
  await put(store, some[3] as Uint8Array);
  assert.deepEqual(await held(store, some), [true, false, true, true, false, false]);
  assert.deepEqual(events.at(-2), { kind: 'evicted', size: 1_000 });
});

test('a blob that was put twice is counted once, and a deleted one not at all', async (t) => {
  const { store } = await open(t, 3_000);
  const [a, b, c, d] = some as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  for (const bytes of [a, a, b, c]) await put(store, bytes);
  assert.deepEqual(await held(store, [a, b, c]), [true, true, true]);
  await store.delete(idOf(b));
  await put(store, d);
  assert.deepEqual(await held(store, [a, c, d]), [true, true, true]);
});

test('what lay there at the start counts, in the order of its last use', async (t) => {
  const dir = tempFolder();
  const before = await openFileBlobStore(dir);
  for (const bytes of some.slice(0, 4)) await put(before, bytes);
  await before.close();
  for (const [index, day] of [3, 1, 2, 4].entries()) {
    const used = new Date(2020, 1, day);
    utimesSync(blobPath(dir, idOf(some[index] as Uint8Array)), used, used);
  }
  const { store } = await open(t, 2_000, dir);
  await until('the budget is kept', async () => (await held(store, some)).filter(Boolean).length === 2);
  assert.deepEqual(await held(store, some.slice(0, 4)), [true, false, false, true]);
});

test('a use is noted on the disk, for the order after the next start', async (t) => {
  const dir = tempFolder();
  const first = await open(t, 3_000, dir);
  for (const bytes of some.slice(0, 3)) await put(first.store, bytes);
  for (const bytes of some.slice(0, 3)) utimesSync(blobPath(dir, idOf(bytes)), 1_600_000_000, 1_600_000_000);
  await first.store.read(idOf(some[1] as Uint8Array));
  await first.store.close();
  const { store } = await open(t, 1_000, dir);
  await until('the budget is kept', async () => (await held(store, some)).filter(Boolean).length === 1);
  assert.equal(await store.has(idOf(some[1] as Uint8Array)), true);
});

test('what is being read is not removed', async (t) => {
  const [large, other] = [bytesOf(20 * CHUNK_BYTES, 1), bytesOf(20 * CHUNK_BYTES, 2)];
  const { store } = await open(t, 21 * CHUNK_BYTES);
  await put(store, large);
  const opened = await store.open(idOf(large));
  assert.ok(opened !== null);
  const body = opened.body[Symbol.asyncIterator]();
  const first = await body.next();
  await put(store, other);
  assert.deepEqual(await held(store, [large, other]), [true, true]);
  const rest = await collect({ [Symbol.asyncIterator]: () => body });
  assert.equal((first.value as Uint8Array).length + rest.length, large.length);
  await put(store, some[0] as Uint8Array);
  assert.deepEqual(await held(store, [large, other]), [false, true]);
});

for (const [what, size] of [
  ['small', 2_000],
  ['large', 20 * CHUNK_BYTES],
] as const) {
  test(`a ${what} blob beyond the whole budget is let through and not kept`, async (t) => {
    const { store } = await open(t, 1_500);
    const beyond = bytesOf(size, 9);
    await put(store, some[0] as Uint8Array);
    await store.putStream(idOf(beyond), stream(beyond), PUT);
    await put(store, some[1] as Uint8Array);
    const opened = await store.open(idOf(beyond));
    assert.deepEqual(opened && (await collect(opened.body)), beyond);
    assert.deepEqual(await held(store, [some[1] as Uint8Array, beyond]), [true, false]);
  });
}

test('what was put for somebody waits for its reader, if that comes soon', async (t) => {
  const { store, pass } = await open(t, 1_500);
  for (const bytes of some.slice(0, 4)) await store.putStream(idOf(bytes), stream(bytes), PUT);
  assert.deepEqual(await held(store, some.slice(0, 4)), [true, true, true, true]);
  assert.deepEqual(await store.read(idOf(some[0] as Uint8Array)), some[0]);
  assert.deepEqual(await held(store, some.slice(0, 4)), [false, true, true, true]);
  pass(10_000);
  await put(store, some[4] as Uint8Array);
  assert.deepEqual(await held(store, some.slice(0, 5)), [false, false, false, false, true]);
});

test('a full disk is a reason to make room once, then to refuse; reading goes on', async (t) => {
  const disk = await mountSmallDisk(t, 8);
  if (typeof disk === 'string') return t.skip(`no small disk can be mounted here: ${disk}`);
  const { store, events } = await open(t, 1e12, disk.folder);
  const blobs = Array.from({ length: 5 }, (_, seed) => bytesOf(3_000_000, seed + 1));
  for (const bytes of blobs) await put(store, bytes);
  assert.equal(await store.has(idOf(blobs[4] as Uint8Array)), true);
  assert.ok(events.some(({ kind }) => kind === 'evicted'));
  await assert.rejects(put(store, bytesOf(9_000_000, 7)), StorageFullError);
  await put(store, some[0] as Uint8Array);
  assert.deepEqual(await store.read(idOf(some[0] as Uint8Array)), some[0]);
  await store.close();
});
