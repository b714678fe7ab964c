import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { utf8 } from '../../src/core/bytes.ts';
import { StorageFullError } from '../../src/core/errors.ts';
import { change } from '../../src/core/tables.ts';
import { writeDurably } from '../../src/io/durable-file.ts';
import { type OriginStores, openOriginStores } from '../../src/io/stores.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { appendTo } from '../support/storage/append-to.ts';
import { blobOf, bytesOf, stream } from './blob-store-contract.ts';

const small = bytesOf(2_000);
const large = bytesOf(1_500_000);
const putOptions = { maxBytes: 8_000_000, keyAlgorithm: 'sha512' } as const;

test('a full disk refuses what is new, goes on serving, and takes more when there is room again', async (t) => {
  const disk = await mountSmallDisk(t, 8);
  if (typeof disk === 'string') return t.skip(`no small disk can be mounted here: ${disk}`);
  const stores = await openOriginStores(disk.folder);
  await fillWithContent(stores);
  await disk.fill();
  await assertRefuses(stores, disk.folder);
  await assertServes(stores);
  await disk.free();
  await assertTakesMore(stores);
  await assertServes(stores);
  await stores.close();
});

async function fillWithContent({ metadata, blobs, tarballs }: OriginStores): Promise<void> {
  await tarballs.putStream(blobOf(large, 'sha512'), stream(large), putOptions);
  await tarballs.putStream(blobOf(small, 'sha512'), stream(small), putOptions);
  await blobs.putMany([{ id: blobOf(small), bytes: small }]);
  await appendTo(metadata, [utf8('entry')]);
  await metadata.write([change('setting', 'kept', { value: 'yes' })]);
}

async function assertRefuses({ metadata, blobs, tarballs }: OriginStores, folder: string): Promise<void> {
  const next = bytesOf(1_600_000, 2);
  await assert.rejects(tarballs.putStream(blobOf(next, 'sha512'), stream(next), putOptions), StorageFullError);
  await assert.rejects(blobs.putMany([{ id: blobOf(next), bytes: next }]), StorageFullError);
  const value = 'x'.repeat(1_000_000);
  await assert.rejects(metadata.write([change('setting', 'new', { value })]), StorageFullError);
  await assert.rejects(appendTo(metadata, [next, next]), StorageFullError);
  await assert.rejects(metadata.fold([change('package', 'x'.repeat(1_000_000), row)], 0, 1), StorageFullError);
  await assert.rejects(writeDurably(join(folder, 'state.json'), next), StorageFullError);
  assert.equal(await tarballs.has(blobOf(next, 'sha512')), false);
  assert.equal(await blobs.has(blobOf(next)), false);
  assert.deepEqual([await metadata.size(), (await metadata.head()).size, await metadata.folded()], [1, 1, 0]);
  assert.equal(await metadata.get('setting', 'new'), null);
  assert.deepEqual(readdirSync(join(folder, 'cache', 'tarballs', 'tmp')), []);
}

async function assertServes({ metadata, blobs, tarballs }: OriginStores): Promise<void> {
  assert.deepEqual(await tarballs.read(blobOf(large, 'sha512')), large);
  assert.deepEqual(await tarballs.read(blobOf(small, 'sha512')), small);
  assert.deepEqual(await blobs.read(blobOf(small)), small);
  assert.deepEqual(await metadata.entries(0, 1), [utf8('entry')]);
  assert.deepEqual(await metadata.get('setting', 'kept'), { value: 'yes' });
}

async function assertTakesMore({ metadata, blobs, tarballs }: OriginStores): Promise<void> {
  const more = bytesOf(3_000, 3);
  await tarballs.putStream(blobOf(more, 'sha512'), stream(more), putOptions);
  await blobs.putMany([{ id: blobOf(more), bytes: more }]);
  await appendTo(metadata, [utf8('more')]);
  await metadata.fold([change('package', 'x', row)], 0, 2);
  assert.deepEqual([await metadata.size(), await metadata.folded()], [2, 2]);
}

const row = { head: null, seq: 1, withdrawn: null };
