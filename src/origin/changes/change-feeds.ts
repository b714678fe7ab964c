/**
 * Bodies of `/_changes` that are made while they are sent: pages with documents, and feeds that wait for changes.
 *
 * A feed holds a connection and its place, nothing else: whenever the bell has rung it reads the journal on from there,
 * only as fast as its reader takes what it is given.
 */
import { concat, utf8 } from '../../core/bytes.ts';
import {
  type ChangesQuery,
  feedEnd,
  type PackageChange,
  RESULTS_BETWEEN,
  RESULTS_START,
  resultsEnd,
  showChange,
} from '../../core/npm-changes.ts';
import type { Bell } from '../../io/bell.ts';
import type { ChangeDocs } from './change-docs.ts';
import type { ChangedPackages } from './changed-packages.ts';

export type FeedDeps = {
  readonly packages: ChangedPackages;
  readonly docs: ChangeDocs;
  /** Rings when packages have changed and the tables show it. */
  readonly bell: Pick<Bell, 'rung' | 'wait'>;
};

/** A query with its place in the feed. */
export type Reader = {
  readonly query: ChangesQuery;
  readonly since: number;
  /** Infinity for none. */
  readonly limit: number;
  /** What tarball URLs in documents begin with; null without documents. */
  readonly base: string | null;
  /** Aborts when the reader has left. */
  readonly signal: AbortSignal;
};

/** Some changes, where they end, and how many more there may be. */
export type ChangesPage = {
  readonly changes: readonly PackageChange[];
  readonly lastSeq: number;
  readonly pending: number;
};

/** Changes that a continuous feed reads at once. */
const BATCH = 100;
/** Bytes of documents after which a page ends; one more document than that may be in it. */
const PAGE_BYTES_MAX = 16 * 1024 * 1024;

/** @param newest the newest change there is */
export async function readPage(reader: Reader, newest: number, packages: ChangedPackages): Promise<ChangesPage> {
  const { query, since, limit } = reader;
  if (query.descending) {
    const changes = await packages.before(newest, since, limit);
    return { changes, lastSeq: changes.at(-1)?.seq ?? since, pending: 0 };
  }
  const { changes, position } = await packages.after(since, newest, limit);
  return { changes, lastSeq: position, pending: Math.max(newest - position, 0) };
}

export function showPage({ changes, lastSeq, pending }: ChangesPage): Uint8Array {
  const results = changes.map(showChange).join(RESULTS_BETWEEN);
  return utf8(RESULTS_START + results + resultsEnd(lastSeq, pending));
}

/** A page, document by document; it ends early where they have become many bytes. */
export async function* pageInPieces(reader: Reader, newest: number, deps: FeedDeps): AsyncGenerator<Uint8Array> {
  yield utf8(RESULTS_START);
  yield* restOfPage(reader, newest, deps);
}

/** Answers as soon as something has changed, or, with nothing, when the time is over. */
export async function* longPoll(reader: Reader, deps: FeedDeps): AsyncGenerator<Uint8Array> {
  yield utf8(RESULTS_START);
  for (let spoke = performance.now(); ; ) {
    const seen = deps.bell.rung();
    const newest = await deps.packages.newest();
    if (reader.since < newest) return yield* restOfPage(reader, newest, deps);
    const why = await waitForMore(reader, seen, spoke, deps);
    if (why === 'end' || why === 'over') return yield utf8(resultsEnd(reader.since, 0));
    if (why === 'more') continue;
    yield utf8('\n');
    spoke = performance.now();
  }
}

/** Every change on a line of its own, as it happens. */
export async function* continuousFeed(reader: Reader, deps: FeedDeps): AsyncGenerator<Uint8Array> {
  const { packages, bell } = deps;
  let position = reader.since;
  let spoke = performance.now();
  for (let left = reader.limit; left > 0; ) {
    const seen = bell.rung();
    const newest = await packages.newest();
    if (position < newest) {
      const stretch = await packages.after(position, newest, Math.min(left, BATCH));
      for (const change of stretch.changes) yield await lineOf(change, reader, deps);
      position = stretch.position;
      left -= stretch.changes.length;
      if (stretch.changes.length > 0) spoke = performance.now();
      continue;
    }
    const why = await waitForMore(reader, seen, spoke, deps);
    // A follower takes a last line for the end of all changes; without one it comes back to the next server.
    if (why === 'over') return;
    if (why === 'end') break;
    if (why === 'more') continue;
    yield utf8('\n');
    spoke = performance.now();
  }
  yield utf8(feedEnd(position, Math.max((await packages.newest()) - position, 0)));
}

/**
 * Waits until there may be more; a heartbeat keeps a feed from ending in silence. `over`: this server or the reader leaves.
 * @param spoke when the feed last said something: a bell that rings for others must not put off the heartbeat
 */
async function waitForMore(
  { query, signal }: Reader,
  seen: number,
  spoke: number,
  { bell }: FeedDeps,
): Promise<'more' | 'heartbeat' | 'end' | 'over'> {
  const { heartbeatMs, timeoutMs } = query;
  const silence = performance.now() - spoke;
  const why = await bell.wait(seen, Math.max((heartbeatMs ?? timeoutMs) - silence, 0), signal);
  if (why === 'silence') return heartbeatMs === null ? 'end' : 'heartbeat';
  return why === 'rang' ? 'more' : 'over';
}

async function* restOfPage(reader: Reader, newest: number, deps: FeedDeps): AsyncGenerator<Uint8Array> {
  const page = await readPage(reader, newest, deps.packages);
  let bytes = 0;
  let last: PackageChange | null = null;
  for (const change of page.changes) {
    if (bytes > PAGE_BYTES_MAX) break;
    const line = await lineOf(change, reader, deps);
    if (last !== null) yield utf8(RESULTS_BETWEEN);
    yield line.subarray(0, -1);
    bytes += line.length;
    last = change;
  }
  const whole = last === (page.changes.at(-1) ?? null);
  const lastSeq = whole ? page.lastSeq : (last?.seq ?? reader.since);
  yield utf8(resultsEnd(lastSeq, reader.query.descending ? 0 : Math.max(newest - lastSeq, 0)));
}

/** With a line feed at its end. */
async function lineOf(change: PackageChange, { base }: Reader, { docs }: FeedDeps): Promise<Uint8Array> {
  return base === null ? utf8(`${showChange(change)}\n`) : concat([await docs.line(change, base), utf8('\n')]);
}
