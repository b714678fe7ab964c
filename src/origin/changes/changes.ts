/** `/_changes`: what has changed in the registry, for followers of npm registries (core/npm-changes.ts has the format). */
import { Buffer } from 'node:buffer';
import { TooManyRequestsError } from '../../core/errors.ts';
import { CACHE, etagOf, planRead } from '../../core/http-semantics.ts';
import { ANONYMOUS_FEEDS_MAX } from '../../core/limits.ts';
import { parseChangesQuery } from '../../core/npm-changes.ts';
import { type Answer, type Incoming, problemAnswer } from '../../io/http-server.ts';
import {
  continuousFeed,
  type FeedDeps,
  longPoll,
  pageInPieces,
  type Reader,
  readPage,
  showPage,
} from './change-feeds.ts';

export type Changes = {
  /**
   * @param text the query as it came, without the question mark
   * @param base URL that tarball URLs in documents begin with, without a slash at its end
   * @throws BadRequestError for parameters that can't be meant, TooManyRequestsError where too many wait already
   */
  answer(incoming: Incoming, text: string, base: string): Promise<Answer>;
};

const JSON_TYPE = 'application/json; charset=utf-8';
/** Kept by caches to be asked for again: any new change may be on any page. */
const PAGE_HEADERS = { 'content-type': JSON_TYPE, 'cache-control': 'no-cache' };
const FEED_HEADERS = { 'content-type': JSON_TYPE, 'cache-control': CACHE.noStore };
const BODY_BYTES_MAX = 64;

export function createChanges(deps: FeedDeps): Changes {
  let waiting = 0;

  /** A feed is counted for as long as it lasts. */
  function feedAnswer(body: AsyncIterable<Uint8Array>): Answer {
    if (waiting >= ANONYMOUS_FEEDS_MAX) {
      throw new TooManyRequestsError(`${ANONYMOUS_FEEDS_MAX} feeds wait for changes already; ask with feed=normal`);
    }
    waiting += 1;
    const onClose = () => {
      waiting -= 1;
    };
    return { status: 200, headers: FEED_HEADERS, body, onClose };
  }

  return {
    answer: async (incoming, text, base) => {
      if (incoming.method === 'POST' && !(await isEmptyPost(incoming))) return refusedPost();
      const newest = await deps.packages.newest();
      const reader = readerOf(incoming, text, base, newest);
      const { feed, includeDocs } = reader.query;
      if (feed === 'continuous') return feedAnswer(continuousFeed(reader, deps));
      if (feed === 'longpoll' && reader.since >= newest) return feedAnswer(longPoll(reader, deps));
      if (!includeDocs) return pageAnswer(incoming, reader, newest, deps);
      return { status: 200, headers: PAGE_HEADERS, body: pageInPieces(reader, newest, deps) };
    },
  };
}

function readerOf(incoming: Incoming, text: string, base: string, newest: number): Reader {
  const query = parseChangesQuery(text);
  return {
    query,
    since: query.since === 'now' ? newest : query.since,
    limit: query.limit ?? Number.POSITIVE_INFINITY,
    base: query.includeDocs ? base : null,
    signal: incoming.signal,
  };
}

/** Nothing on a page changes before there is a newer change, so that one stands for it in its entity tag. */
async function pageAnswer(incoming: Incoming, reader: Reader, newest: number, deps: FeedDeps): Promise<Answer> {
  const { query, since, limit } = reader;
  const etag = etagOf('changes', `${since} ${limit} ${query.descending}`, `${newest}`);
  const plan = planRead(incoming.method, incoming.headers, { etag, size: null, allowRange: false });
  const headers = { ...PAGE_HEADERS, ...plan.headers };
  if (plan.status !== 200) return { status: plan.status, headers, body: null };
  return { status: 200, headers, body: showPage(await readPage(reader, newest, deps.packages)) };
}

/** Some followers ask by POST, with the question in the URL and an empty object as the body. */
async function isEmptyPost(incoming: Incoming): Promise<boolean> {
  const body = await incoming.body(BODY_BYTES_MAX).catch(() => null);
  return body !== null && /^\s*(?:\{\s*\})?\s*$/.test(Buffer.from(body).toString('latin1'));
}

function refusedPost(): Answer {
  const message = '/_changes takes its parameters from the URL and has no filters: GET it, or POST {} to it';
  return problemAnswer(405, 'method-not-allowed', message, { allow: 'GET, HEAD, POST' });
}
