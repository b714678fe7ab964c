/**
 * Getting a blob that this mirror doesn't hold: from peers, then from the origin, one flight per blob however many ask.
 *
 * Order: the source's bytes are written and hashed as they come; the store gives the blob its name once all of them are
 * there, have the right hash and are on the disk (commit point); only then does anybody who waits hear of it. So a kill at
 * any moment leaves either the whole blob or nothing under its name, and no reader ever gets a byte that wasn't checked.
 */
import { FederationError, IntegrityError, StorageFullError } from '../core/errors.ts';
import { TARBALL_BYTES_MAX } from '../core/limits.ts';
import type { BlobId, BlobStore } from '../io/blob-store.ts';
import type { HttpClient } from '../io/http-client.ts';
import type { Logger } from '../io/logger.ts';
import type { Metrics } from '../io/metrics.ts';

/** How long one source may take, ms. */
export type FetchTimes = {
  readonly headersTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly totalTimeoutMs: number;
};

/** All sources together stay below the five minutes after which npm gives a request up. */
export const FETCH_TIMES: FetchTimes = { headersTimeoutMs: 15_000, idleTimeoutMs: 15_000, totalTimeoutMs: 120_000 };

/** Blobs on their way at the same time; more are refused, since each holds a connection and a file. */
const FLIGHTS_MAX = 256;

export type BlobFetcher = {
  /**
   * Resolves to true once the blob is in the store, to false if no source could give it. Joins a flight of the same blob.
   * A caller that goes away cancels nothing: others may wait, and the next one surely asks again.
   * @param sources base URLs, in the order in which to try them
   */
  fetch(id: BlobId, sources: readonly string[]): Promise<boolean>;
  /** Gives up what is under way and resolves when nothing of it runs any more. */
  close(): Promise<void>;
};

export type BlobFetcherDeps = {
  readonly blobs: BlobStore;
  readonly client: HttpClient;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly times: FetchTimes;
  /** Told the size in bytes of each blob that was stored. */
  readonly stored: (size: number) => void;
};

export function createBlobFetcher(deps: BlobFetcherDeps): BlobFetcher {
  const flights = new Map<string, Promise<boolean>>();
  const closing = new AbortController();

  return {
    fetch(id, sources) {
      const key = `${id.algorithm}/${id.hex}`;
      const running = flights.get(key);
      if (running) return running;
      if (flights.size >= FLIGHTS_MAX || closing.signal.aborted) return Promise.resolve(false);
      const flight = fetchFromAny(deps, id, sources, closing.signal).finally(() => flights.delete(key));
      flights.set(key, flight);
      return flight;
    },
    async close() {
      closing.abort(new Error('the mirror is stopping'));
      await Promise.allSettled(flights.values());
    },
  };
}

async function fetchFromAny(
  deps: BlobFetcherDeps,
  id: BlobId,
  sources: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  for (const source of sources) {
    const outcome = await fetchFrom(deps, id, source, signal);
    deps.metrics
      .counter('mirror_fetches_total', 'Blobs asked of a peer or the origin', ['source', 'outcome'])
      .inc({ source, outcome });
    if (outcome === 'stored') return true;
    if (outcome === 'storage-full') return false;
  }
  return false;
}

type Outcome = 'stored' | 'not-there' | 'wrong-bytes' | 'storage-full' | 'failed';

async function fetchFrom(deps: BlobFetcherDeps, id: BlobId, source: string, signal: AbortSignal): Promise<Outcome> {
  const url = `${source}/-/federation/blob/${id.algorithm}/${id.hex}`;
  try {
    const options = { ...deps.times, maxBytes: TARBALL_BYTES_MAX, signal };
    const { status, body } = await deps.client.open(url, { ...options, headers: { 'accept-encoding': 'identity' } });
    if (status !== 200) {
      body.destroy();
      if (status !== 404) deps.logger.warn({ source, status, blob: id.hex }, 'a source answered without the blob');
      return status === 404 ? 'not-there' : 'failed';
    }
    const limits = { maxBytes: TARBALL_BYTES_MAX, keyAlgorithm: id.algorithm };
    const { size } = await deps.blobs.putStream(id, body, limits);
    deps.stored(size);
    return 'stored';
  } catch (error) {
    return reportFailure(deps, id, source, error);
  }
}

function reportFailure({ logger }: BlobFetcherDeps, id: BlobId, source: string, error: unknown): Outcome {
  const facts = { source, blob: id.hex };
  if (error instanceof IntegrityError) {
    logger.error(
      { ...facts, expected: error.expected, actual: error.actual },
      'wrong bytes from a source; nothing stored',
    );
    return 'wrong-bytes';
  }
  if (error instanceof StorageFullError) {
    logger.error({ ...facts, reason: error.message }, 'no room for a blob; what is stored is still served');
    return 'storage-full';
  }
  const reason = error instanceof FederationError ? error.message : String(error);
  logger.warn({ ...facts, reason }, 'a source failed');
  return 'failed';
}
