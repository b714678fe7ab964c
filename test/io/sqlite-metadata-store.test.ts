import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openSqliteMetadataStore } from '../../src/io/sqlite-metadata-store.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { metadataStoreContract } from './metadata-store-contract.ts';

const open = (folder: string) => openSqliteMetadataStore(join(folder, 'metadata.sqlite'));

metadataStoreContract('sqlite metadata store', open, { durable: true });

test('sqlite metadata store says what is wrong with a file that is no database', async () => {
  await assert.rejects(open(join(tempFolder(), 'no-such-folder')), /metadata.sqlite/);
});
