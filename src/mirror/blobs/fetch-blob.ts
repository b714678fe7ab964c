/** Getting blobs that this mirror doesn't hold: one flight per blob, however many ask (see flight.ts). */
import type { TombstoneRow } from '../../core/tables.ts';
import { formatBlobId } from '../../io/blob-intake.ts';
import type { BlobId, CacheBlobStore } from '../../io/blob-store.ts';
import { Flight } from './flight.ts';
import type { FetchTimes, PullDeps } from './pull-blob.ts';

/** All sources together stay below the five minutes after which npm gives a request up. */
export const FETCH_TIMES: FetchTimes = { headersTimeoutMs: 15_000, idleTimeoutMs: 15_000, totalTimeoutMs: 120_000 };

/** Blobs on their way at the same time; more are refused, since each holds a connection and a file. */
const FLIGHTS_MAX = 256;

export type BlobFetcher = {
  /**
   * The flight of a blob, begun if there is none yet; null if there are too many, or the mirror is stopping. It goes on
   * when nobody reads it any more: the next one surely asks again.
   * @param sources base URLs, in the order in which to try them
   * @param despite the tombstone in spite of which the blob is fetched; null for none
   */
  join(id: BlobId, sources: readonly string[], despite?: TombstoneRow | null): Flight | null;
  /** Begins no more flights and ends those that nobody reads from yet, so that whoever waits is sent elsewhere. */
  refuse(): void;
  /** Gives up what is under way and resolves when nothing of it runs any more. */
  close(): Promise<void>;
};

export type BlobFetcherDeps = PullDeps & {
  readonly blobs: CacheBlobStore;
  /** Told of each blob that was stored. */
  readonly stored: (id: BlobId, despite: TombstoneRow | null) => Promise<void>;
};

export function createBlobFetcher(deps: BlobFetcherDeps): BlobFetcher {
  const flights = new Map<string, Flight>();
  const noting = new Set<Promise<void>>();
  let refusing = false;

  function fly(key: string, id: BlobId, sources: readonly string[], despite: TombstoneRow | null): Flight {
    const flight = new Flight(deps, id, sources);
    flights.set(key, flight);
    void flight.landed.then(async (landing) => {
      flights.delete(key);
      if (landing === 'stored') await noteStored(id, despite);
      // Who reads along has got wrong bytes and is not to be helped; whoever asks again is, by the sources that are left.
      const left = sources.filter((source) => !flight.pull.liars.has(source));
      if (landing === 'wrong-bytes' && left.length > 0 && !refusing) fly(key, id, left, despite);
    });
    return flight;
  }

  async function noteStored(id: BlobId, despite: TombstoneRow | null): Promise<void> {
    const noted = deps
      .stored(id, despite)
      .catch((err) => deps.logger.error({ err, blob: id.hex }, 'a stored blob could not be noted'));
    noting.add(noted);
    await noted;
    noting.delete(noted);
  }

  const abortAll = (which: (flight: Flight) => boolean): void => {
    for (const flight of flights.values()) if (which(flight)) flight.abort(new Error('the mirror is stopping'));
  };

  return {
    join(id, sources, despite = null) {
      const key = `${formatBlobId(id)}${despite ? ' despite' : ''}`;
      const running = flights.get(key);
      if (running) return running;
      return refusing || flights.size >= FLIGHTS_MAX ? null : fly(key, id, sources, despite);
    },
    refuse() {
      refusing = true;
      abortAll((flight) => !flight.isReadable);
    },
    async close() {
      refusing = true;
      abortAll(() => true);
      await Promise.allSettled([...flights.values()].map((flight) => flight.landed));
      await Promise.all(noting);
    },
  };
}
