/**
 * Reads everything that a store holds again and again, slowly, so that rot is found while there still is a source to
 * fetch a blob anew from. What has rotted goes into quarantine (commit point: the rename) before anybody is told.
 */
import { setTimeout } from 'node:timers/promises';
import type { BlobId, CacheBlobStore } from './blob-store.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

export type ScrubRate = {
  /** From the start to the first pass, ms. */
  readonly firstMs: number;
  /** From the beginning of one pass to that of the next, ms; a pass that takes longer is finished first. */
  readonly passMs: number;
  readonly bytesPerSecond: number;
};

/** A pass a week, and no faster than a disk has to spare. */
const SCRUB_RATE: ScrubRate = {
  firstMs: 10 * 60_000,
  passMs: 7 * 24 * 60 * 60_000,
  bytesPerSecond: 4 * 1024 * 1024,
};

/** Between two passes, ms, however long they take. */
const PAUSE_MS_MIN = 60_000;

export type Scrubber = { close(): Promise<void> };

export function startScrubber(deps: {
  readonly store: CacheBlobStore;
  readonly rate?: ScrubRate | undefined;
  /** Told of each blob that had rotted, and is no longer there. */
  readonly rotten: (id: BlobId) => Promise<unknown>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Unix ms. */
  readonly now: () => number;
  /** Resolves after so many ms; rejects when the signal aborts. */
  readonly wait?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined;
}): Scrubber {
  const { store, rate = SCRUB_RATE, logger, now, wait = waitQuietly } = deps;
  const closing = new AbortController();
  const { signal } = closing;
  const scrubbed = deps.metrics.counter('scrubbed_bytes_total', 'Stored bytes that were read again to find rot');

  async function pace(bytes: number): Promise<void> {
    scrubbed.inc(bytes);
    await wait((bytes / rate.bytesPerSecond) * 1_000, signal);
  }

  async function pass(): Promise<void> {
    for await (const { id } of store.list()) {
      if ((await store.check(id, pace)) !== 'rotten') continue;
      logger.error({ blob: id.hex }, 'a stored blob is damaged; it was put aside');
      await deps.rotten(id);
    }
  }

  async function run(): Promise<void> {
    await wait(rate.firstMs, signal);
    for (;;) {
      const started = now();
      await pass().catch((err) => {
        signal.throwIfAborted();
        logger.error({ err }, 'what is stored could not be read through');
      });
      await wait(Math.max(PAUSE_MS_MIN, started + rate.passMs - now()), signal);
    }
  }

  const running = run().catch((error) => {
    if (!signal.aborted) throw error;
  });
  return {
    async close() {
      closing.abort(new Error('the server is stopping'));
      await running;
    },
  };
}

/** Keeps no process alive. */
const waitQuietly = (ms: number, signal: AbortSignal): Promise<void> =>
  setTimeout(ms, undefined, { signal, ref: false });
