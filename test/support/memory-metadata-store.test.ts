import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8 } from '../../src/core/bytes.ts';
import { change } from '../../src/core/tables.ts';
import { metadataStoreContract } from '../io/metadata-store-contract.ts';
import { MemoryMetadataStore } from './memory-metadata-store.ts';
import { appendTo } from './storage/append-to.ts';

metadataStoreContract('memory metadata store', async () => new MemoryMetadataStore(), {
  durable: false,
  appendWithoutTree: async (store, _, entries) => (store as MemoryMetadataStore).appendWithoutTree(entries),
});

const row = { head: null, seq: 1, withdrawn: null };

test('memory metadata store complains of derived rows written past the fold', async () => {
  const store = new MemoryMetadataStore();
  await assert.rejects(store.write([change('package', 'x', row)]), /only the fold may change package/);
  await assert.rejects(store.fold([change('setting', 's', { value: '' })], 0, 0), /local table setting/);
  await assert.rejects(store.clear(['package']), /all together/);
});

test('memory metadata store complains of entries that change after they were appended', async () => {
  const store = new MemoryMetadataStore();
  const entry = utf8('entry');
  await appendTo(store, [entry]);
  entry[0] = 0;
  await assert.rejects(store.size(), /entry 0 were changed/);
});

test('memory metadata store fails on request, before or after the work is done', async () => {
  const store = new MemoryMetadataStore();
  store.failNext('append', new Error('broken'));
  await assert.rejects(appendTo(store, [utf8('a')]), /broken/);
  assert.equal(await store.size(), 0);
  store.failNext('append', new Error('broken'), { persist: true });
  await assert.rejects(appendTo(store, [utf8('a')]), /broken/);
  assert.equal(await store.size(), 1);
});
