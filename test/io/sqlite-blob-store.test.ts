import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { openSqliteBlobStore } from '../../src/io/sqlite-blob-store.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { blobOf, blobStoreContract, bytesOf } from './blob-store-contract.ts';

blobStoreContract('sqlite blob store', {
  open: (folder) => openSqliteBlobStore(join(folder, 'blobs.sqlite')),
  rot: async (_store, folder, id) => {
    const db = new DatabaseSync(join(folder, 'blobs.sqlite'));
    const bytes = db.prepare('SELECT bytes FROM blobs WHERE id = unhex(?)').get(id.hex)?.bytes as Uint8Array;
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    db.prepare('UPDATE blobs SET bytes = ? WHERE id = unhex(?)').run(bytes, id.hex);
    db.close();
  },
  durable: true,
});

test('sqlite blob store: closing leaves one file, with everything in it', async () => {
  const folder = tempFolder();
  const store = await openSqliteBlobStore(join(folder, 'blobs.sqlite'));
  await store.putMany([{ id: blobOf(bytesOf(9)), bytes: bytesOf(9) }]);
  await store.close();
  assert.deepEqual(readdirSync(folder), ['blobs.sqlite']);
});
