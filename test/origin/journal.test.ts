import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseEntry } from '../../src/core/entry.ts';
import { StorageFullError } from '../../src/core/errors.ts';
import { openJournal } from '../../src/origin/journal.ts';
import { madePackage } from '../support/made-package.ts';
import { MemoryBlobStore } from '../support/memory-blob-store.ts';
import { MemoryMetadataStore } from '../support/memory-metadata-store.ts';
import { FRESHNESS_MS, startOriginCore } from '../support/origin-core.ts';

const full = () => new StorageFullError('the disk is full');

test('entries that a full disk kept from the tables are folded before the next are appended', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '2.0.0': {} }));
  origin.server.packages.put(madePackage('beta', { '1.0.0': {} }));
  origin.pass(FRESHNESS_MS);
  // The second one is the journal's own attempt to mend it.
  for (let times = 0; times < 2; times++) origin.metadata.failNext('fold', full());
  await assert.rejects(origin.packument('alpha'), { status: 507 });
  const size = await origin.metadata.size();
  assert.equal(await origin.metadata.folded(), size - 1);

  await origin.packument('beta');
  assert.equal(await origin.metadata.folded(), size + 1);
  assert.deepEqual(Object.keys((await origin.packument('alpha')).versions), ['1.0.0', '2.0.0']);
  assert.equal((await origin.learner.packument('alpha', '192.0.2.0/24')).view.seq, 2);
});

test('an entry that can not be folded never gets into the journal', async () => {
  const metadata = new MemoryMetadataStore();
  const journal = await openJournal({ metadata, blobs: new MemoryBlobStore(), now: () => 1 });
  const learned = { kind: 'learned', name: 'alpha', head: '0'.repeat(64) } as const;
  await assert.rejects(journal.append([learned]), /is missing from the store/);
  assert.equal(await metadata.size(), 0);
  await journal.append([{ kind: 'host-evict', host: '0123456789abcdef', reason: 'a test' }]);
  assert.equal(parseEntry((await metadata.entries(0, 1))[0] as Uint8Array).kind, 'host-evict');
});
