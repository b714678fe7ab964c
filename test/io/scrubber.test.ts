import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { blobPath, quarantineOf } from '../../src/io/blob-path.ts';
import type { BlobId } from '../../src/io/blob-store.ts';
import { openFileBlobStore } from '../../src/io/file-blob-store.ts';
import { createMetrics } from '../../src/io/metrics.ts';
import { startScrubber } from '../../src/io/scrubber.ts';
import { LogLines } from '../support/log-lines.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { blobOf, bytesOf, stream } from './blob-store-contract.ts';

const RATE = { firstMs: 1_000, passMs: 1_000_000, bytesPerSecond: 1_000_000 };

/** A store of a small and a large blob, and time that passes when the scrubber waits. */
async function start() {
  const folder = tempFolder();
  const store = await openFileBlobStore(folder);
  const blobs = [bytesOf(1_000, 1), bytesOf(20 * CHUNK_BYTES, 2)];
  const ids = blobs.map((bytes) => blobOf(bytes, 'sha512'));
  for (const [at, bytes] of blobs.entries()) {
    await store.putStream(ids[at] as BlobId, stream(bytes), { maxBytes: 1e9, keyAlgorithm: 'sha512' });
    await store.read(ids[at] as BlobId);
  }
  const bytes = blobs.reduce((sum, { length }) => sum + length, 0);
  return { folder, store, ids: ids as [BlobId, BlobId], bytes };
}

type Started = Awaited<ReturnType<typeof start>>;

/** Scrubs until as many passes are through. */
async function scrub({ store }: Started, passes: number) {
  const [waits, rotten, log] = [[] as number[], [] as string[], new LogLines('test')];
  const done = Promise.withResolvers<void>();
  const metrics = createMetrics('test');
  let now = 0;
  const wait = async (ms: number, signal: AbortSignal) => {
    waits.push(ms);
    now += ms;
    const pauses = waits.filter((one) => one > 60_000).length;
    if (pauses < passes) return;
    done.resolve();
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  const note = async (id: BlobId) => rotten.push(id.hex);
  const { logger } = log;
  const scrubber = startScrubber({ store, rate: RATE, rotten: note, logger, metrics, now: () => now, wait });
  await done.promise;
  await scrubber.close();
  return { waits, rotten, log, now };
}

function spoil(folder: string, id: BlobId): void {
  const path = blobPath(folder, id);
  const bytes = readFileSync(path);
  bytes[500] = (bytes[500] as number) ^ 1;
  writeFileSync(path, bytes);
}

test('everything is read once per pass, no faster than it may be', async () => {
  const started = await start();
  const { waits, rotten, now } = await scrub(started, 2);
  assert.deepEqual(rotten, []);
  assert.equal(waits[0], RATE.firstMs);
  const perPass = (started.bytes / RATE.bytesPerSecond) * 1_000;
  const reading = waits.slice(1).filter((ms) => ms < 60_000);
  assert.equal(Math.round(reading.reduce((sum, ms) => sum + ms, 0)), Math.round(2 * perPass));
  assert.equal(Math.round(now), RATE.firstMs + 2 * RATE.passMs);
  await started.store.close();
});

for (const [what, which] of [
  ['a small blob that is in memory', 0],
  ['a large blob', 1],
] as const) {
  test(`rot in ${what} is found, put aside and told, once`, async () => {
    const started = await start();
    const id = started.ids[which];
    spoil(started.folder, id);
    const { rotten, log } = await scrub(started, 2);
    assert.deepEqual(rotten, [id.hex]);
    assert.equal(await started.store.has(id), false);
    assert.equal(await started.store.has(started.ids[1 - which] as BlobId), true);
    assert.equal(readdirSync(quarantineOf(started.folder)).length, 1);
    assert.ok(log.lines.some(({ msg, blob }) => blob === id.hex && /damaged/.test(msg)));
    await started.store.close();
  });
}

test('it ends at once when the server stops', async () => {
  const started = await start();
  const { logger } = new LogLines('test');
  const rotten = async () => undefined;
  const common = { store: started.store, rotten, logger, metrics: createMetrics('test'), now: Date.now };
  await startScrubber(common).close();
  await started.store.close();
});
