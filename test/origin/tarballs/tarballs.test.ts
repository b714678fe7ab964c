import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { LogHaltedError, StorageFullError } from '../../../src/core/errors.ts';
import { change, versionKey } from '../../../src/core/tables.ts';
import { openLog } from '../../../src/origin/log/log.ts';
import type { TarballRef } from '../../../src/origin/tarballs/download-tarball.ts';
import { createTarballs } from '../../../src/origin/tarballs/tarballs.ts';
import { exampleSigner } from '../../support/example-keys.ts';
import { journalKinds } from '../../support/journal-kinds.ts';
import { MemoryBlobStore } from '../../support/memory-blob-store.ts';
import { MemoryMetadataStore } from '../../support/memory-metadata-store.ts';

/** A tarball of the upstream and an origin that may fetch it, over memory stores. */
async function start(t: TestContext) {
  const [metadata, blobs, store] = [new MemoryMetadataStore(), new MemoryBlobStore(), new MemoryBlobStore()];
  t.after(() => Promise.all([metadata.close(), blobs.close(), store.close()]));
  const bytes = Buffer.from('the tarball of alpha@1.0.0');
  const sha512 = createHash('sha512').update(bytes).digest('hex');
  const ref: TarballRef = { pinned: { algorithm: 'sha512', hex: sha512 }, name: 'alpha', version: '1.0.0' };
  await metadata.write([change('tarball-url', versionKey('alpha', '1.0.0'), { url: 'http://registry.example/a.tgz' })]);
  const logKey = exampleSigner('log.example', 'example log key');
  const log = await openLog({ metadata, blobs, logKey, now: () => 1, checkpointIntervalMs: 0 });
  const upstream = {
    packument: () => assert.fail('not asked for'),
    manifest: () => assert.fail('not asked for'),
    keys: () => assert.fail('not asked for'),
    tarball: async () => ({ size: bytes.length, body: bodyOf(bytes) }),
  };
  const incidents = { report: () => assert.fail('no incident'), list: async () => [], settle: async () => undefined };
  const deps = { metadata, blobs, store, log, upstream, incidents, random: () => 0, now: () => 1 };
  const open = () => createTarballs(deps as unknown as Parameters<typeof createTarballs>[0]);
  const kinds = () => journalKinds(metadata);
  return { metadata, blobs, store, log, sha512, ref, tarballs: open(), open, kinds };
}

async function* bodyOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

test('a tarball that a full disk kept from being measured is measured at the next hit', async (t) => {
  const { blobs, tarballs, ref, sha512, kinds } = await start(t);
  blobs.failNext('putMany', new StorageFullError('no room'));
  assert.equal(await tarballs.fetch(ref), sha512, 'it is served all the same');
  await tarballs.idle();
  assert.deepEqual([await tarballs.size(sha512), await tarballs.measured(sha512)], [26, null]);
  await tarballs.fetch(ref);
  await tarballs.idle();
  assert.deepEqual(await kinds(), ['measured']);
});

test('many hits at once on a stored tarball measure it once', async (t) => {
  const { metadata, tarballs, ref, open, kinds } = await start(t);
  metadata.failNext('append', new StorageFullError('no room'));
  await tarballs.fetch(ref);
  await tarballs.idle();
  assert.deepEqual(await kinds(), []);
  const restarted = open();
  await Promise.all(Array.from({ length: 5 }, () => restarted.fetch(ref)));
  await restarted.idle();
  assert.deepEqual(await kinds(), ['measured']);
});

test('while the log is halted a tarball is served without being measured, and measured once it goes on', async (t) => {
  const { log, tarballs, ref, sha512, kinds } = await start(t);
  const append = log.append.bind(log);
  log.append = () => Promise.reject(new LogHaltedError('signed elsewhere'));
  assert.equal(await tarballs.fetch(ref), sha512);
  await tarballs.idle();
  assert.deepEqual([await tarballs.size(sha512), await tarballs.measured(sha512), await kinds()], [26, null, []]);
  log.append = append;
  assert.equal(await tarballs.fetch(ref), sha512);
  await tarballs.idle();
  assert.deepEqual(await kinds(), ['measured']);
});

test('no host is looked at by a tarball that was evicted', async (t) => {
  const { store, tarballs, ref, sha512 } = await start(t);
  await tarballs.fetch(ref);
  assert.equal((await tarballs.recent())?.sha512, sha512);
  await store.delete({ algorithm: 'sha512', hex: sha512 });
  assert.equal(await tarballs.recent(), null);
});
