import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { blobPath } from '../../src/io/blob-path.ts';
import { openFileBlobStore } from '../../src/io/file-blob-store.ts';
import { BlobSender, LENT_BYTES_MAX } from '../../src/io/send-blob.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { blobOf, bytesOf, stream } from './blob-store-contract.ts';

const MIB = 1024 * 1024;

async function stored(t: TestContext) {
  const folder = tempFolder();
  const store = await openFileBlobStore(folder, { hotBytesMax: 0 });
  t.after(() => store.close());
  const sender = new BlobSender(store);
  const put = async (length: number, seed = 1) => {
    const bytes = bytesOf(length, seed);
    const id = blobOf(bytes, 'sha512');
    await store.putStream(id, stream(bytes), { maxBytes: length, keyAlgorithm: 'sha512' });
    return { id, bytes };
  };
  return { folder, sender, put };
}

test('small blobs and ranges of them are sent in one piece, and nothing has to be given back', async (t) => {
  const { sender, put } = await stored(t);
  const { id, bytes } = await put(1_000);
  const sent = await sender.open(id, 1_000, { start: 10, end: 20 });
  assert.deepEqual(sent, { body: bytes.slice(10, 20) });
});

test('blobs of more than 4 MiB are streamed', async (t) => {
  const { sender, put } = await stored(t);
  const length = 4 * MIB + 1;
  const { id, bytes } = await put(length);
  const sent = await sender.open(id, length, { start: 0, end: length });
  assert.ok(sent && !(sent.body instanceof Uint8Array));
  assert.deepEqual(Buffer.concat(await Array.fromAsync(sent.body)), Buffer.from(bytes));
});

test('larger blobs are sent in one piece while there is room, and streamed beyond it', async (t) => {
  const { sender, put } = await stored(t);
  const length = 4 * MIB;
  const all = { start: 0, end: length };
  const done: (() => void)[] = [];
  for (let seed = 0; seed < LENT_BYTES_MAX / length; seed++) {
    const sent = await sender.open((await put(length, seed)).id, length, all);
    assert.ok(sent?.body instanceof Uint8Array && sent.onClose);
    done.push(sent.onClose);
  }
  const { id } = await put(length, 99);
  assert.ok(!((await sender.open(id, length, all))?.body instanceof Uint8Array));
  for (const giveBack of done) giveBack();
  assert.ok((await sender.open(id, length, all))?.body instanceof Uint8Array);
});

test('what turns out to be gone takes no room', async (t) => {
  const { folder, sender, put } = await stored(t);
  const { id } = await put(MIB);
  rmSync(blobPath(folder, id));
  for (let times = 0; times <= LENT_BYTES_MAX / MIB; times++) {
    assert.equal(await sender.open(id, MIB, { start: 0, end: MIB }), null);
  }
  const there = await put(MIB, 2);
  assert.ok((await sender.open(there.id, MIB, { start: 0, end: MIB }))?.body instanceof Uint8Array);
});
