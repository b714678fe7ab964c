import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256Hex } from '../../src/core/hash.ts';
import { SharedBudget } from '../../src/io/shared-budget.ts';
import { openMirrorStores } from '../../src/io/stores.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { blobOf, bytesOf } from './blob-store-contract.ts';

const BUDGET = 1_000_000;

test('tarballs get what others leave of the budget, and give it back when those grow', async (t) => {
  const [dir, budget] = [tempFolder(), new SharedBudget(BUDGET)];
  const stores = await openMirrorStores(dir, true, { budget });
  t.after(() => stores.close());
  const { blobs, door } = stores;
  assert.ok(door);
  const tarballs = Array.from({ length: 15 }, (_, seed) => bytesOf(100_000, seed + 1));
  for (const bytes of tarballs) await blobs.putMany([{ id: blobOf(bytes, 'sha512'), bytes }]);
  for (const bytes of tarballs) await blobs.read(blobOf(bytes, 'sha512'));
  const sizes = async () => (await Array.fromAsync(blobs.list())).reduce((sum, { size }) => sum + size, 0);
  assert.equal(await sizes(), 900_000, 'all that an empty database leaves');

  const head = bytesOf(180_000, 99);
  await door.heads.put({ name: 'a', hash: sha256Hex(head), parts: [sha256Hex(head)] }, [head], 1);
  await budget.grown();
  assert.equal(await sizes(), 700_000);
  await stores.close();
  const { size } = statSync(join(dir, 'index-blobs.sqlite'));
  assert.ok(size + (await onDisk(join(dir, 'blobs'))) <= BUDGET);
});

async function onDisk(folder: string): Promise<number> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

test('without a budget nothing is bounded', async (t) => {
  const stores = await openMirrorStores(tempFolder(), true);
  t.after(() => stores.close());
  const bytes = bytesOf(100_000, 1);
  await stores.blobs.putMany([{ id: blobOf(bytes, 'sha512'), bytes }]);
  await stores.blobs.trim();
  assert.ok(await stores.blobs.has(blobOf(bytes, 'sha512')));
});
