/** Opens what a mirror does with blobs: fetching, serving, passing on, looking for rot. */
import { formatPinned } from '../../core/integrity.ts';
import type { BlobId, CacheBlobStore } from '../../io/blob-store.ts';
import type { HttpClient } from '../../io/http-client.ts';
import type { Logger } from '../../io/logger.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import type { Metrics } from '../../io/metrics.ts';
import { type ScrubRate, startScrubber } from '../../io/scrubber.ts';
import type { HeldList } from '../membership/held-list.ts';
import { type BlobFetcher, createBlobFetcher, FETCH_TIMES } from './fetch-blob.ts';
import type { MeasuredReader } from './learn-chunks.ts';
import { passOn, restOf } from './pass-on.ts';
import type { FetchTimes, Pull } from './pull-blob.ts';
import { type BlobServer, createBlobServer } from './serve-blob.ts';
import type { Tombstones } from './tombstones.ts';

export type Blobs = { readonly fetcher: BlobFetcher; readonly server: BlobServer };

/** @param cleanups gets what has to be closed after the server */
export function openBlobs(
  parts: {
    readonly blobs: CacheBlobStore;
    readonly tombstones: Tombstones;
    readonly index: MetadataStore;
    readonly list: HeldList;
    readonly origin: string;
    readonly peers: readonly string[];
    readonly client: HttpClient;
    readonly logger: Logger;
    readonly metrics: Metrics;
    readonly now: () => number;
    readonly times: FetchTimes | undefined;
    readonly scrubRate: ScrubRate | undefined;
    readonly signal: AbortSignal;
  },
  cleanups: (() => Promise<void>)[],
): Blobs {
  const { blobs, tombstones, index, list, origin, peers, client, logger, metrics, now, signal } = parts;
  const sources = [...peers, origin];
  const measured = measuredReader(index);
  const pulling = { client, origin, peers, measured, logger, metrics, times: parts.times ?? FETCH_TIMES };
  const fetcher = createBlobFetcher({
    ...{ ...pulling, blobs },
    stored: async ({ algorithm, hex }, despite) => {
      if (algorithm === 'sha512') await tombstones.stored(hex, despite);
    },
  });
  cleanups.push(() => fetcher.close());
  const passing = {
    whole: (id: BlobId, from: readonly string[]) => passOn(pulling, id, from, signal),
    restOf: (pull: Pull, start: number) => restOf(pulling, pull, start, sources, signal),
  };
  const rotten = async (id: BlobId) => (await tombstones.get(id.hex)) ?? fetcher.join(id, sources)?.landed;
  const scrubber = startScrubber({ store: blobs, rate: parts.scrubRate, rotten, logger, metrics, now });
  cleanups.push(() => scrubber.close());
  return {
    fetcher,
    server: createBlobServer({ blobs, fetcher, tombstones, passing, list, origin, peers, logger, metrics }),
  };
}

/** What the verified log says that a tarball was measured to be. */
function measuredReader(index: MetadataStore): MeasuredReader {
  return async (sha512) => {
    const weaker = await index.get('content', sha512);
    const pinned = weaker?.pinned ?? formatPinned({ algorithm: 'sha512', hex: sha512 });
    return index.get('measured', pinned);
  };
}
