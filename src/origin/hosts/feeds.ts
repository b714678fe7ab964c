/**
 * The change feed's connections. An event is a hint that something changed, never proof of what: a reader that misses one
 * loses nothing, so one that reads too slowly is cut off instead of being waited for.
 */
import { Readable } from 'node:stream';
import { TooManyRequestsError } from '../../core/errors.ts';
import { type FeedEvent, formatFeedEvent, formatFeedPing } from '../../core/event-stream.ts';
import { ANONYMOUS_FEEDS_MAX, FEED_BACKLOG_BYTES_MAX } from '../../core/limits.ts';

export type Feed = {
  readonly body: AsyncIterable<Uint8Array>;
  /** Ends the stream; the reader sees its end. */
  end(): void;
};

export type Feeds = {
  /**
   * @param network of the reader; null for a host, since the number of approved hosts bounds theirs already
   * @throws TooManyRequestsError when too many are open, and no network has more of them than this one
   */
  open(network: string | null, greeting: readonly FeedEvent[]): Feed;
  broadcast(event: FeedEvent): void;
  close(): void;
};

/** @param pingMs how often a comment is sent on each feed */
export function createFeeds(pingMs = 15_000): Feeds {
  const open = new Map<Readable, string | null>();
  const send = (bytes: Uint8Array): void => {
    for (const feed of open.keys()) push(feed, bytes);
  };
  const pings = setInterval(() => send(formatFeedPing()), pingMs);
  pings.unref();

  return {
    open(network, greeting) {
      if (network !== null) makeRoom(open, network);
      // Anything at all has to be sent first: many clients see no answer before its first byte.
      const body = new Readable({ read: () => undefined });
      for (const bytes of [formatFeedPing(), ...greeting.map(formatFeedEvent)]) body.push(bytes);
      open.set(body, network);
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

/** No network can keep the others out: where all places are taken, the one that has most of them gives up its oldest. */
function makeRoom(open: Map<Readable, string | null>, network: string): void {
  const byNetwork = Map.groupBy(
    [...open].filter(([, of]) => of !== null),
    ([, of]) => of,
  );
  const crowds = [...byNetwork.values()].sort((a, b) => b.length - a.length);
  const taken = crowds.reduce((sum, { length }) => sum + length, 0);
  if (taken < ANONYMOUS_FEEDS_MAX) return;
  const [[oldest] = []] = crowds;
  const own = byNetwork.get(network)?.length ?? 0;
  if (oldest === undefined || (crowds[0]?.length ?? 0) <= own + 1) {
    throw new TooManyRequestsError(`${ANONYMOUS_FEEDS_MAX} feeds are open already; read "hosts" now and then instead`);
  }
  open.delete(oldest[0]);
  oldest[0].push(null);
}

function push(feed: Readable, bytes: Uint8Array): void {
  if (feed.readableLength > FEED_BACKLOG_BYTES_MAX) feed.destroy();
  else if (!feed.readableEnded && !feed.destroyed) feed.push(bytes);
}
