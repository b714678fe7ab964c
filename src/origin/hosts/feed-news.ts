/** What the change feed tells: the newest list of hosts and the newest checkpoint, at once and whenever there is a newer one. */
import { checkpointEvent, type FeedEvent } from '../../core/event-stream.ts';
import type { Published } from '../log/log.ts';
import { createFeeds, type Feed } from './feeds.ts';

export type FeedNews = {
  /** Tells all readers of a new list of hosts. */
  listed(serial: number): void;
  /** Tells all readers of a new checkpoint. */
  grown(published: Published): void;
  /**
   * @param network of the reader; null for a host
   * @param lastEventId of the event that the reader saw last: it is not told that again
   * @throws TooManyRequestsError when too many are open
   */
  open(network: string | null, lastEventId: string | null): Feed;
  close(): void;
};

/** @param newest what a reader has to know at first; null for what there is none of yet */
export function createFeedNews(newest: { serial(): number | null; checkpoint(): Published | null }): FeedNews {
  const feeds = createFeeds();
  const greeting = (): FeedEvent[] => {
    const [serial, published] = [newest.serial(), newest.checkpoint()];
    return [...(serial === null ? [] : [listEvent(serial)]), ...(published ? [eventOf(published)] : [])];
  };
  return {
    listed: (serial) => feeds.broadcast(listEvent(serial)),
    grown: (published) => feeds.broadcast(eventOf(published)),
    open: (network, lastEventId) =>
      feeds.open(
        network,
        greeting().filter(({ id }) => id === null || id !== lastEventId),
      ),
    close: feeds.close,
  };
}

function listEvent(serial: number): FeedEvent {
  return { event: 'hosts', id: null, data: `${serial}` };
}

function eventOf({ checkpoint, note }: Published): FeedEvent {
  return checkpointEvent(checkpoint.size, note);
}
