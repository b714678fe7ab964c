/** Passing a blob on that can't be stored, such as when the disk is full: every byte is checked, none is kept. */
import { concat } from '../../core/bytes.ts';
import { CHUNK_BYTES } from '../../core/limits.ts';
import { bodyOf, checkBlob } from '../../io/blob-intake.ts';
import type { BlobId } from '../../io/blob-store.ts';
import { newPull, type Pull, type PullDeps, pullBlob } from './pull-blob.ts';

/** Up to here a blob without chunk hashes is checked whole in memory. */
const WHOLE_BYTES_MAX = 4 * 1024 * 1024;

/** The bytes from `start` on. */
export type Passing = { readonly size: number; readonly from: (start: number) => AsyncGenerator<Uint8Array> };

/**
 * A blob straight from its sources; null if it can't be passed on checked.
 * @throws UpstreamError if no source has it
 */
export async function passOn(
  deps: PullDeps,
  id: BlobId,
  sources: readonly string[],
  signal: AbortSignal,
): Promise<Passing | null> {
  const pull = newPull(id);
  const pieces = pullBlob(deps, pull, sources, signal);
  const first = await pieces.next();
  const { size } = pull;
  if (pull.facts && size !== null) {
    await pieces.return(undefined);
    return { size, from: (start) => restOf(deps, { ...pull, gave: [] }, start, sources, signal) };
  }
  if (size === null || size > WHOLE_BYTES_MAX) {
    await pieces.return(undefined);
    return null;
  }
  const rest = await Array.fromAsync(pieces);
  const bytes = concat(first.done ? [] : [first.value, ...rest]);
  checkBlob(id, bytes, pull.gave.join(', '));
  return { size, from: (start) => bodyOf(bytes.subarray(start)) };
}

/** What is missing of a blob whose chunk hashes are known, from `start` on. */
export async function* restOf(
  deps: PullDeps,
  { id, size, facts, liars }: Pull,
  start: number,
  sources: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let skip = start % CHUNK_BYTES;
  const pull = { id, size, facts, liars, gave: [], at: start - skip };
  for await (const chunk of pullBlob(deps, pull, sources, signal)) {
    yield chunk.subarray(skip);
    skip = 0;
  }
}
