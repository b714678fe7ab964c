import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BlobReader, verifyBlobs } from '../../src/core/verify-blobs.ts';
import { blobOf, bytesOf } from '../io/blob-store-contract.ts';
import { MemoryBlobStore } from '../support/memory-blob-store.ts';

async function storeWith(...sizes: number[]): Promise<MemoryBlobStore> {
  const store = new MemoryBlobStore();
  await store.putMany(sizes.map((size) => bytesOf(size)).map((bytes) => ({ id: blobOf(bytes), bytes })));
  return store;
}

/** The store's own reader with some answers replaced. */
const readerOf = (store: MemoryBlobStore, other: Partial<BlobReader>): BlobReader => ({
  list: () => store.list(),
  open: (id) => store.open(id),
  chunks: (id) => store.chunks(id),
  ...other,
});

test('blobs are read, counted and added up', async () => {
  const check = await verifyBlobs('blobs', await storeWith(10, 200_000));
  assert.deepEqual(
    [check.counted, check.problemCount],
    ['2 blobs, 200,010 bytes: each with the hash that names it', 0],
  );
});

test('a rotten blob is named, and the others are still read', async () => {
  const store = await storeWith(10, 20, 30);
  store.rot(blobOf(bytesOf(20)));
  const check = await verifyBlobs('blobs', store);
  assert.equal(check.counted, '2 blobs, 40 bytes');
  assert.equal(check.problems[0]?.subject, `sha256:${blobOf(bytesOf(20)).hex}`);
});

test('a blob that is evicted while the others are read is no fault', async () => {
  const store = await storeWith(10, 20);
  const reader = readerOf(store, {
    open: async (id) => {
      await store.delete(blobOf(bytesOf(20)));
      return store.open(id);
    },
  });
  assert.deepEqual((await verifyBlobs('blobs', reader)).problems, []);
});

test('chunk hashes and sizes that are not those of the bytes are found', async () => {
  const store = await storeWith(200_000);
  const chunks = readerOf(store, { chunks: async () => new Uint8Array(128) });
  assert.match(String((await verifyBlobs('blobs', chunks)).problems[0]?.what), /chunk hashes/);
  const list = readerOf(store, {
    async *list() {
      for await (const { id } of store.list()) yield { id, size: 7 };
    },
  });
  assert.match(String((await verifyBlobs('blobs', list)).problems[0]?.what), /200000 bytes, listed are 7/);
});

test('a store that can not be listed is a fault', async () => {
  const reader = readerOf(await storeWith(1), {
    // biome-ignore lint/correctness/useYield: it fails before there is anything to yield
    async *list() {
      throw new Error('disk I/O error');
    },
  });
  assert.deepEqual((await verifyBlobs('blobs', reader)).problems, [{ subject: 'the store', what: 'disk I/O error' }]);
});
