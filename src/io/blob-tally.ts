import type { BlobEvent, BlobStore } from './blob-store.ts';
import type { Metrics } from './metrics.ts';

/** How much a store holds, for metrics and heartbeats. Approximate, since nothing is decided by it. */
export type BlobTally = {
  stored(): { blobs: number; bytes: number };
  /** For the store, to tell what comes and goes. */
  note(event: BlobEvent): void;
  /** Counts what was there at the start, in the background: a start must not wait for a listing of everything. */
  count(blobs: BlobStore, failed: (error: unknown) => void): void;
};

export function createBlobTally(metrics: Metrics): BlobTally {
  const sum = { blobs: 0, bytes: 0 };
  metrics.gauge('stored_blobs', 'Tarballs and other blobs that can be fetched again', [], (it) => it.set(sum.blobs));
  metrics.gauge('stored_bytes', 'Their bytes', [], (it) => it.set(sum.bytes));
  const evicted = metrics.counter('evicted_bytes_total', 'Bytes removed to keep the disk budget');
  const evictions = metrics.counter('evictions_total', 'Blobs removed to keep the disk budget');
  const rotten = metrics.counter('rotten_blobs_total', 'Stored blobs that were found damaged');
  const add = (sign: 1 | -1, size: number): void => {
    sum.blobs += sign;
    sum.bytes += sign * size;
  };
  const countAll = async (blobs: BlobStore): Promise<void> => {
    for await (const { size } of blobs.list()) add(1, size);
  };
  return {
    stored: () => ({ blobs: Math.max(0, sum.blobs), bytes: Math.max(0, sum.bytes) }),
    note({ kind, size }) {
      add(kind === 'stored' ? 1 : -1, size);
      if (kind === 'rotten') rotten.inc();
      if (kind !== 'evicted') return;
      evictions.inc();
      evicted.inc(size);
    },
    count(blobs, failed) {
      countAll(blobs).catch(failed);
    },
  };
}
