import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8 } from '../../src/core/bytes.ts';
import { formatEntry } from '../../src/core/entry.ts';
import { foldEntries } from '../../src/core/fold.ts';
import { sha512Hex } from '../../src/core/hash.ts';
import type { IndexReader } from '../../src/core/index-reader.ts';
import { change } from '../../src/core/tables.ts';
import { FOLDS, verifyTables } from '../../src/core/verify-tables.ts';
import { MemoryMetadataStore } from '../support/memory-metadata-store.ts';
import { appendTo } from '../support/storage/append-to.ts';

const noBlob = () => Promise.reject(new Error('no blob is needed'));
const hex = sha512Hex(utf8('tarball'));
const hash = 'a'.repeat(64);

/** What a tarball was seen to be, once more with another size. */
const measured = (size: number): Uint8Array =>
  formatEntry({
    kind: 'measured',
    time: 1,
    pinned: { algorithm: 'sha512', hex },
    sha512: hex,
    size,
    chunks: hash,
    list: hash,
  });

async function append(store: MemoryMetadataStore, entry: Uint8Array): Promise<void> {
  const size = await store.size();
  await appendTo(store, [entry]);
  const reader = { get: store.get.bind(store), scan: store.scan.bind(store), blob: noBlob };
  await store.fold(await foldEntries([entry], reader), size, size + 1);
}

/** Reads the store, and lets `meanwhile` happen when the table `measured` is about to be read. */
function readerOf(store: MemoryMetadataStore, meanwhile: () => Promise<void> = async () => {}): IndexReader {
  let happened = false;
  return {
    size: () => store.size(),
    folded: () => store.folded(),
    entries: (from, limit) => store.entries(from, limit),
    get: (table, key) => store.get(table, key),
    scan: async (table, prefix, page) => {
      if (table === 'measured' && !happened) {
        happened = true;
        await meanwhile();
      }
      return store.scan(table, prefix, page);
    },
    blob: noBlob,
  };
}

test('tables are as the journal makes them, also while it grows', async () => {
  const store = new MemoryMetadataStore();
  await append(store, measured(1));
  const check = await verifyTables(
    readerOf(store, () => append(store, measured(2))),
    FOLDS.origin,
  );
  assert.deepEqual([check.problems, check.counted], [[], '1 row: as the journal makes them']);
});

test('a wrong row is found, also while the journal grows', async () => {
  const store = new MemoryMetadataStore();
  await append(store, measured(1));
  const stray = change('measured', 'sha1:00', { sha512: hex, size: 3, chunks: hash, list: hash });
  await store.fold([stray], 1, 1);
  const check = await verifyTables(
    readerOf(store, () => append(store, measured(2))),
    FOLDS.origin,
  );
  assert.deepEqual(check.problems, [
    { subject: 'measured sha1:00', what: 'it is in the table, but the journal does not make it' },
  ]);
});

test('entries that are not folded yet are no fault', async () => {
  const store = new MemoryMetadataStore();
  await append(store, measured(1));
  await appendTo(store, [measured(2)]);
  const check = await verifyTables(readerOf(store), FOLDS.origin);
  assert.deepEqual(check.problems, []);
  assert.deepEqual(check.notes, ['1 entry of the journal is not in the tables yet; the next start takes it in']);
});
