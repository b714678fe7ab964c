/**
 * The change feed's connections. An event is a hint that something changed, never proof of what: a reader that misses one
 * loses nothing, so one that reads too slowly is cut off instead of being waited for.
 */
import { Readable } from 'node:stream';
import { TooManyRequestsError } from '../core/errors.ts';
import { type FeedEvent, formatFeedEvent, formatFeedPing } from '../core/event-stream.ts';
import { ANONYMOUS_FEEDS_MAX, FEED_BACKLOG_BYTES_MAX } from '../core/limits.ts';

export type Feed = {
  readonly body: AsyncIterable<Uint8Array>;
  /** Ends the stream; the reader sees its end. */
  end(): void;
};

export type Feeds = {
  /**
   * @param counted false for a host's feed, which the number of approved hosts bounds already
   * @throws TooManyRequestsError when too many are open
   */
  open(counted: boolean, greeting: readonly FeedEvent[]): Feed;
  broadcast(event: FeedEvent): void;
  close(): void;
};

/** @param pingMs how often a comment is sent on each feed */
export function createFeeds(pingMs = 15_000): Feeds {
  const open = new Map<Readable, boolean>();
  const send = (bytes: Uint8Array): void => {
    for (const feed of open.keys()) push(feed, bytes);
  };
  const pings = setInterval(() => send(formatFeedPing()), pingMs);
  pings.unref();

  return {
    open(counted, greeting) {
      const anonymous = [...open.values()].filter(Boolean).length;
      if (counted && anonymous >= ANONYMOUS_FEEDS_MAX) {
        throw new TooManyRequestsError(
          `${ANONYMOUS_FEEDS_MAX} feeds are open already; read "hosts" now and then instead`,
        );
      }
      // Anything at all has to be sent first: many clients see no answer before its first byte.
      const body = new Readable({ read: () => undefined });
      for (const bytes of [formatFeedPing(), ...greeting.map(formatFeedEvent)]) body.push(bytes);
      open.set(body, counted);
      body.once('close', () => open.delete(body));
      return { body, end: () => void body.push(null) };
    },
    broadcast: (event) => send(formatFeedEvent(event)),
    close() {
      clearInterval(pings);
      for (const feed of open.keys()) feed.destroy();
    },
  };
}

function push(feed: Readable, bytes: Uint8Array): void {
  if (feed.readableLength > FEED_BACKLOG_BYTES_MAX) feed.destroy();
  else if (!feed.readableEnded && !feed.destroyed) feed.push(bytes);
}
