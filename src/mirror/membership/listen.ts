/** Listening to the origin's change feed as nobody in particular: what a mirror does that is no host of its origin. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedEvent } from '../../core/event-stream.ts';
import type { HttpClient } from '../../io/http-client.ts';
import { followFeed } from './feed.ts';
import type { RetryTimes } from './membership.ts';

/**
 * Opens the feed again and again until the signal aborts; resolves then. An origin that is away is no error here: the
 * log's follower tells of it.
 */
export async function listenToFeed(options: {
  readonly client: HttpClient;
  readonly origin: string;
  readonly lastEventId: () => string | null;
  /** A checkpoint that the feed tells: a signed note, not yet believed. */
  readonly checkpoint: (note: string) => void;
  /** The feed has ended or could not be opened. */
  readonly ended: () => void;
  readonly times: RetryTimes;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { client, origin, checkpoint, times, signal } = options;
  let waitMs = times.firstMs;
  const opened = () => {
    waitMs = times.firstMs;
  };
  const event = (one: FeedEvent) => {
    if (one.event === 'checkpoint') checkpoint(one.data);
  };
  while (!signal.aborted) {
    const feed = { client, origin, signer: null, lastEventId: options.lastEventId(), signal, opened, event };
    await followFeed(feed).catch(() => undefined);
    if (!signal.aborted) options.ended();
    await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    waitMs = Math.min(waitMs * 1.5, times.lastMs);
  }
}
