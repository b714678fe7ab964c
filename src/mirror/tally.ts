import type { BlobStore } from '../io/blob-store.ts';

/** How much this mirror holds, for its heartbeats. Approximate, since nothing is decided by it. */
export type Tally = {
  stored(): { blobs: number; bytes: number };
  add(bytes: number): void;
};

/** Counts what is stored in the background: a start must not wait for a listing of everything. */
export function createTally(blobs: BlobStore, failed: (error: unknown) => void): Tally {
  const sum = { blobs: 0, bytes: 0 };
  const add = (bytes: number): void => {
    sum.blobs++;
    sum.bytes += bytes;
  };
  const count = async (): Promise<void> => {
    for await (const { size } of blobs.list()) add(size);
  };
  count().catch(failed);
  return { stored: () => ({ ...sum }), add };
}
