import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openSqliteBlobStore } from '../../src/io/sqlite-blob-store.ts';
import { blobStoreContract } from './blob-store-contract.ts';

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
