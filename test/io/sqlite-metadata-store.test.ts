import assert from 'node:assert/strict';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { test } from 'node:test';
import { type Change, change, versionKey } from '../../src/core/tables.ts';
import { openSqliteMetadataStore } from '../../src/io/sqlite-metadata-store.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { metadataStoreContract } from './metadata-store-contract.ts';

const open = (folder: string) => openSqliteMetadataStore(join(folder, 'metadata.sqlite'));

metadataStoreContract('sqlite metadata store', open, { durable: true });

test('sqlite metadata store takes in a large fold beside everything else', async () => {
  const store = await open(tempFolder());
  await store.append([new Uint8Array(1)], 0);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await store.fold(rows(30_000), 0, 1);
  delay.disable();
  assert.equal(await store.count('version'), 30_000);
  // Far above what is seen, far below the second that these rows would take in one go on a slow machine.
  assert.ok(delay.max < 250e6, `the event loop stood still for ${delay.max / 1e6} ms`);
  await store.close();
});

test('sqlite metadata store says what is wrong with a file that is no database', async () => {
  await assert.rejects(open(join(tempFolder(), 'no-such-folder')), /metadata.sqlite/);
});

function rows(count: number): Change[] {
  const hash = 'a'.repeat(64);
  return Array.from({ length: count }, (_, i) =>
    change('version', versionKey('large', `1.0.${i}`), {
      state: 'listed',
      manifest: hash,
      cut: 300,
      file: `large-1.0.${i}.tgz`,
      abbreviated: hash,
      abbreviatedCut: 100,
      pinned: `sha512:${hash}${hash}`,
      time: null,
      reason: null,
    }),
  );
}
