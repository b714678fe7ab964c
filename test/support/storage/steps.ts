/** A journal of steps whose every byte follows from the step's number: what a writer writes and a checker expects. */
import assert from 'node:assert/strict';
import { text, utf8 } from '../../../src/core/bytes.ts';
import { type Change, change } from '../../../src/core/tables.ts';
import type { BlobId, BlobStore } from '../../../src/io/blob-store.ts';
import type { OriginStores } from '../../../src/io/stores.ts';
import { blobOf, bytesOf, stream } from '../../io/blob-store-contract.ts';
import { appendTo } from './append-to.ts';

/** Enough that a fold takes a while: a kill right after its entry falls into it. */
const ROWS_PER_STEP = 300;

/** Sizes on both sides of what a file store takes for small. */
const tarball = (step: number): Uint8Array => bytesOf(step % 4 === 0 ? 1_200_000 + step : 1_000 + step, step);
const manifests = (step: number): { id: BlobId; bytes: Uint8Array }[] =>
  [1, 2, 3].map((n) => bytesOf(500 * n, step * 10 + n)).map((bytes) => ({ id: blobOf(bytes), bytes }));
const entry = (step: number): Uint8Array => utf8(`step ${step}`);
const rows = (step: number): Change[] =>
  Array.from({ length: ROWS_PER_STEP }, (_, i) =>
    change('package', `step${step}-${i}`, { head: null, seq: step, withdrawn: null }),
  );

/** Content first, then the entry that needs it, then the fold. Calls `progress` after each part. */
export async function runStep(stores: OriginStores, step: number, progress: (part: string) => void): Promise<void> {
  const bytes = tarball(step);
  const options = { maxBytes: bytes.length, keyAlgorithm: 'sha512' } as const;
  await stores.tarballs.putStream(blobOf(bytes, 'sha512'), stream(bytes), options);
  progress('tarball');
  await stores.blobs.putMany(manifests(step));
  progress('manifests');
  // A writer that was killed between entry and fold takes the step up at its fold.
  if ((await stores.metadata.size()) === step) await appendTo(stores.metadata, [entry(step)]);
  progress('entry');
  await stores.metadata.fold(rows(step), step, step + 1);
  progress(`done ${step}`);
}

/** Everything that `steps` steps wrote is there, and what is visible beyond them is whole. Returns the journal's size. */
export async function checkSteps(stores: OriginStores, steps: number): Promise<number> {
  const [size, folded] = [await stores.metadata.size(), await stores.metadata.folded()];
  assert.ok(steps <= folded && folded <= size && size <= steps + 1, `${steps} done, ${folded} folded, ${size} entries`);
  const entries = await stores.metadata.entries(0, size + 1);
  assert.deepEqual(
    entries.map((bytes) => text(bytes)),
    entries.map((_, step) => `step ${step}`),
  );
  assert.equal(await stores.metadata.count('package'), folded * ROWS_PER_STEP);
  for (let step = 0; step < size; step += 1) {
    assert.deepEqual(await stores.tarballs.read(blobOf(tarball(step), 'sha512')), tarball(step));
    for (const { id, bytes } of manifests(step)) assert.deepEqual(await stores.blobs.read(id), bytes);
  }
  await checkWhole(stores.blobs);
  await checkWhole(stores.tarballs);
  return size;
}

/** Reading verifies: half a blob would throw. */
async function checkWhole(blobs: BlobStore): Promise<void> {
  for await (const { id, size } of blobs.list()) assert.equal((await blobs.read(id))?.length, size);
}
