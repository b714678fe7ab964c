import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { IntegrityError, NotFoundError } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { blobPath, chunksPath, quarantineOf, tempFolderOf } from '../../src/io/blob-path.ts';
import type { BlobId, BlobStore } from '../../src/io/blob-store.ts';
import { openFileBlobStore } from '../../src/io/file-blob-store.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { blobOf, blobStoreContract, bytesOf, collect, stream } from './blob-store-contract.ts';

blobStoreContract('file blob store', {
  open: (folder) => openFileBlobStore(folder),
  rot: async (_store, folder, id) => flip(blobPath(folder, id), -1),
  durable: true,
});

const large = bytesOf(20 * CHUNK_BYTES);
const largeId = blobOf(large, 'sha512');
const putOptions = { maxBytes: large.length, keyAlgorithm: 'sha512' } as const;

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = (bytes[place] as number) ^ 1;
  writeFileSync(path, bytes);
}

async function withLarge(): Promise<{ folder: string; store: BlobStore }> {
  const folder = tempFolder();
  const store = await openFileBlobStore(folder);
  await store.putStream(largeId, stream(large), putOptions);
  return { folder, store };
}

async function bodyOf(store: BlobStore, id: BlobId, start: number, end: number): Promise<Uint8Array> {
  const opened = await store.open(id, { start, end });
  assert.ok(opened !== null);
  return collect(opened.body);
}

test('file blob store: a failed put leaves no temp file', async () => {
  const folder = tempFolder();
  const store = await openFileBlobStore(folder);
  await assert.rejects(store.putStream(largeId, stream(bytesOf(100_000)), putOptions), IntegrityError);
  assert.deepEqual(readdirSync(tempFolderOf(folder)), []);
  await store.close();
});

test('file blob store: opening removes temp files and touches nothing else', async () => {
  const { folder, store } = await withLarge();
  await store.close();
  writeFileSync(`${tempFolderOf(folder)}/put.0123.tmp`, 'half');
  const again = await openFileBlobStore(folder);
  assert.deepEqual(readdirSync(tempFolderOf(folder)), []);
  assert.deepEqual(await again.read(largeId), large);
  await again.close();
});

test('file blob store: files that are no blobs are not listed', async () => {
  const { folder, store } = await withLarge();
  writeFileSync(`${blobPath(folder, largeId)}.old`, 'note');
  const found: string[] = [];
  for await (const { id } of store.list()) found.push(id.hex);
  assert.deepEqual(found, [largeId.hex]);
  await store.close();
});

test('file blob store: a rotten chunk spoils only ranges that touch it', async () => {
  const { folder, store } = await withLarge();
  flip(blobPath(folder, largeId), 9 * CHUNK_BYTES);
  const before = await bodyOf(store, largeId, 0, 8 * CHUNK_BYTES);
  assert.deepEqual(before, large.slice(0, 8 * CHUNK_BYTES));
  await assert.rejects(bodyOf(store, largeId, 10 * CHUNK_BYTES - 1, 10 * CHUNK_BYTES), IntegrityError);
  await store.close();
});

test('file blob store: what rotted is kept aside', async () => {
  const { folder, store } = await withLarge();
  flip(blobPath(folder, largeId), 5);
  await assert.rejects(store.read(largeId), IntegrityError);
  const [kept = '', ...more] = readdirSync(quarantineOf(folder));
  assert.ok(kept.startsWith(`sha512-${largeId.hex}`));
  assert.deepEqual(more, []);
  await store.close();
});

test('file blob store: a blob that was cut short is rot, too', async () => {
  const { folder, store } = await withLarge();
  truncateSync(blobPath(folder, largeId), 19 * CHUNK_BYTES);
  await assert.rejects(store.read(largeId), IntegrityError);
  assert.equal(await store.has(largeId), false);
  await store.close();
});

test('file blob store: a blob that is cut short between two reads is rot, too, even at the end of a chunk', async () => {
  const { folder, store } = await withLarge();
  await bodyOf(store, largeId, 0, 1);
  truncateSync(blobPath(folder, largeId), 19 * CHUNK_BYTES);
  const opened = await store.open(largeId);
  assert.ok(opened !== null);
  await assert.rejects(collect(opened.body), IntegrityError);
  assert.equal(await store.has(largeId), false);
  await store.close();
});

for (const [damage, apply] of [
  ['lost', (path: string) => rmSync(path)],
  ['damaged', (path: string) => flip(path, 3)],
  ['cut short', (path: string) => truncateSync(path, 64)],
] as const) {
  test(`file blob store: chunk hashes that were ${damage} are made anew`, async () => {
    const { folder, store } = await withLarge();
    const chunks = await store.chunks(largeId);
    await store.close();
    const path = chunksPath(folder, largeId);
    const good = readFileSync(path);
    apply(path);
    const again = await openFileBlobStore(folder);
    assert.deepEqual(await again.read(largeId), large);
    assert.deepEqual(await again.chunks(largeId), chunks);
    assert.deepEqual(readFileSync(path), good);
    await again.close();
  });
}

test('file blob store: rot is not hidden by chunk hashes made anew', async () => {
  const { folder, store } = await withLarge();
  await store.close();
  rmSync(chunksPath(folder, largeId));
  flip(blobPath(folder, largeId), 7);
  const again = await openFileBlobStore(folder);
  await assert.rejects(again.chunks(largeId), IntegrityError);
  assert.equal(await again.has(largeId), false);
  await again.close();
});

test('file blob store: a small blob that is read again comes from memory', async () => {
  const folder = tempFolder();
  const store = await openFileBlobStore(folder, { hotBytesMax: 150 });
  const [a, b] = [bytesOf(100, 1), bytesOf(100, 2)];
  await store.putMany([a, b].map((bytes) => ({ id: blobOf(bytes), bytes })));
  const first = await store.read(blobOf(a));
  assert.equal(await store.read(blobOf(a)), first);
  // There is room for one of the two.
  await store.read(blobOf(b));
  const anew = await store.read(blobOf(a));
  assert.deepEqual(anew, first);
  assert.notEqual(anew, first);
  await store.close();
});

test('file blob store: a larger blob that is read again comes from memory, too, as one copy for all', async () => {
  const { store } = await withLarge();
  const [first, second] = await Promise.all([store.read(largeId), store.read(largeId)]);
  assert.deepEqual(first, large);
  assert.equal(second, first);
  assert.equal(await store.read(largeId), first);
  assert.deepEqual(await bodyOf(store, largeId, 1, 70_000), large.slice(1, 70_000));
  await store.delete(largeId);
  assert.equal(await store.read(largeId), null);
  await store.close();
});

test('file blob store: what is deleted while it is read is not remembered', async () => {
  const { store } = await withLarge();
  const reading = store.read(largeId).catch((error) => assert.ok(error instanceof NotFoundError));
  await store.delete(largeId);
  await reading;
  assert.equal(await store.has(largeId), false);
  assert.equal(await store.read(largeId), null);
  await store.close();
});

test('file blob store: a blob of more than 4 MiB does not stay in memory', async () => {
  const folder = tempFolder();
  const store = await openFileBlobStore(folder);
  const huge = bytesOf(4 * 1024 * 1024 + 1);
  const id = blobOf(huge, 'sha512');
  await store.putStream(id, stream(huge), { maxBytes: huge.length, keyAlgorithm: 'sha512' });
  assert.deepEqual(await store.read(id), huge);
  flip(blobPath(folder, id), -1);
  await assert.rejects(store.read(id), IntegrityError);
  await store.close();
});

test('file blob store: a body whose blob is deleted before it is begun says so', async () => {
  const { store } = await withLarge();
  const opened = await store.open(largeId);
  assert.ok(opened !== null);
  await store.delete(largeId);
  await assert.rejects(collect(opened.body), NotFoundError);
  await store.close();
});
