import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blobOf, blobStoreContract, bytesOf } from '../io/blob-store-contract.ts';
import { MemoryBlobStore } from './memory-blob-store.ts';

blobStoreContract('memory blob store', {
  open: async () => new MemoryBlobStore(),
  rot: async (store, _folder, id) => (store as MemoryBlobStore).rot(id),
  durable: false,
});

const bytes = bytesOf(10);
const id = blobOf(bytes);

test('memory blob store complains of readers that change what they read', async () => {
  const store = new MemoryBlobStore();
  await store.putMany([{ id, bytes }]);
  ((await store.read(id)) as Uint8Array)[0] = 1;
  await assert.rejects(store.read(id), /a reader changed/);
  await assert.rejects(store.close(), /a reader changed/);
});

test('memory blob store complains of a body that is iterated twice', async () => {
  const store = new MemoryBlobStore();
  await store.putMany([{ id, bytes }]);
  const opened = await store.open(id);
  assert.ok(opened);
  for await (const part of opened.body) assert.deepEqual(part, bytes);
  assert.throws(() => opened.body[Symbol.asyncIterator](), /iterated once/);
});

test('memory blob store fails on request, before or after the work is done', async () => {
  const store = new MemoryBlobStore();
  store.failNext('putMany', new Error('broken'));
  await assert.rejects(store.putMany([{ id, bytes }]), /broken/);
  assert.equal(await store.has(id), false);
  store.failNext('putMany', new Error('broken'), { persist: true });
  await assert.rejects(store.putMany([{ id, bytes }]), /broken/);
  assert.equal(await store.has(id), true);
});
