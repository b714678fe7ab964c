/**
 * The npm replication feed, `/_changes`: what a follower may ask, which journal entries are changes of a packument, and
 * how they are told. The shape is CouchDB's, which every follower of an npm registry was written for
 * (CouchDB documentation, `/{db}/_changes`).
 */
import { text } from './bytes.ts';
import { type Learned, parseEntry, type Withdraw } from './entry.ts';
import { BadRequestError, quote } from './errors.ts';
import { sha256Hex } from './hash.ts';
import type { PackageRow } from './tables.ts';

export type ChangesQuery = {
  readonly feed: 'normal' | 'longpoll' | 'continuous';
  /** Changes after this sequence number; `now`: only those to come. */
  readonly since: number | 'now';
  /** Null where a continuous feed names none: it goes on for ever. */
  readonly limit: number | null;
  /** Newest first. */
  readonly descending: boolean;
  /** Each change with its packument. */
  readonly includeDocs: boolean;
  /** An empty line this often while nothing changes, and no time-out; null for none. */
  readonly heartbeatMs: number | null;
  /** How long a waiting feed may stay silent before it ends. */
  readonly timeoutMs: number;
};

/** The newest change of one package. */
export type PackageChange = {
  /** Index of the entry in the log, from 1. */
  readonly seq: number;
  /** The package's name. */
  readonly id: string;
  /** `<n>-<32 hex digits>`; n grows with each change of the package. */
  readonly rev: string;
  /** The package was withdrawn as a whole. */
  readonly deleted: boolean;
};

/** An entry that says what a name's packument is from then on. */
export type ChangingEntry = Learned | Withdraw;

const CHANGES_LIMIT = 1_000;
export const CHANGES_LIMIT_MAX = 10_000;
const HEARTBEAT_MS = 60_000;
/** Below what a connection may be silent (io/http-listen.ts), so that it is this side that ends or says something. */
const WAIT_MS_MAX = 120_000;
/** Fewer would make a feed more expensive than the polling that it saves. */
const HEARTBEAT_MS_MIN = 100;

/** They need every document to be looked at for each reader; a follower can pass over what it doesn't want. */
const REFUSED = ['filter', 'view', 'selector', 'doc_ids'];

/**
 * @param query as it came, without the question mark. Parameters of CouchDB that change nothing here, such as `style`,
 *   are passed over.
 * @throws BadRequestError for values that can't be meant, and for filters
 */
export function parseChangesQuery(query: string): ChangesQuery {
  const given = new URLSearchParams(query);
  const refused = REFUSED.find((name) => given.has(name));
  if (refused) {
    throw new BadRequestError(`/_changes has no filters, so no ${refused}: read all changes and pass over the others`);
  }
  const feed = feedOf(given.get('feed') ?? 'normal');
  const limit = numberOf(given, 'limit');
  return {
    feed,
    since: given.get('since') === 'now' ? 'now' : (numberOf(given, 'since') ?? 0),
    limit:
      limit === null && feed === 'continuous' ? null : Math.min(Math.max(limit ?? CHANGES_LIMIT, 1), CHANGES_LIMIT_MAX),
    descending: descendingOf(given, feed),
    includeDocs: isTrue(given, 'include_docs'),
    heartbeatMs: heartbeatOf(given),
    timeoutMs: Math.min(numberOf(given, 'timeout') ?? HEARTBEAT_MS, WAIT_MS_MAX),
  };
}

function feedOf(feed: string): ChangesQuery['feed'] {
  if (feed === 'normal' || feed === 'longpoll' || feed === 'continuous') return feed;
  throw new BadRequestError(`feed=${quote(feed)} is none of normal, longpoll, continuous`);
}

function numberOf(given: URLSearchParams, name: string): number | null {
  const value = given.get(name);
  if (value === null) return null;
  const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (Number.isSafeInteger(number)) return number;
  throw new BadRequestError(`${name}=${quote(value)} is not a number from 0${name === 'since' ? ', nor "now"' : ''}`);
}

function isTrue(given: URLSearchParams, name: string): boolean {
  const value = given.get(name) ?? 'false';
  if (value === 'true' || value === 'false') return value === 'true';
  throw new BadRequestError(`${name}=${quote(value)} is neither true nor false`);
}

function descendingOf(given: URLSearchParams, feed: string): boolean {
  const descending = isTrue(given, 'descending');
  if (descending && feed !== 'normal') throw new BadRequestError(`descending=true has no meaning with feed=${feed}`);
  return descending;
}

function heartbeatOf(given: URLSearchParams): number | null {
  const value = given.get('heartbeat');
  if (value === null || value === 'false') return null;
  if (value === 'true') return HEARTBEAT_MS;
  const ms = numberOf(given, 'heartbeat') ?? 0;
  if (ms >= HEARTBEAT_MS_MIN) return Math.min(ms, WAIT_MS_MAX);
  throw new BadRequestError(`heartbeat=${ms} is too often: at least ${HEARTBEAT_MS_MIN} (milliseconds)`);
}

/** Beginnings of entries that may be changes: the rest of the log is passed over without being parsed. */
const BEGINNINGS = ['learned/', 'withdraw/'];
const BEGINNING_BYTES = Math.max(...BEGINNINGS.map(({ length }) => length));

/** The entry, if it is one that changes what a name's packument is; null for all others. */
export function changingEntry(bytes: Uint8Array): ChangingEntry | null {
  const beginning = text(bytes.subarray(0, BEGINNING_BYTES));
  if (!BEGINNINGS.some((one) => beginning.startsWith(one))) return null;
  const entry = parseEntry(bytes);
  if (entry.kind === 'withdraw') return entry.version === '*' ? entry : null;
  return entry.kind === 'learned' ? entry : null;
}

/**
 * The change that an entry is, if it is still the newest of its package; null if a later one has superseded it.
 * @param row of the package, as the fold shows it now
 */
export function changeOf(
  seq: number,
  bytes: Uint8Array,
  entry: ChangingEntry,
  row: PackageRow | null,
): PackageChange | null {
  if (row === null) return null;
  const id = entry.name;
  if (entry.kind === 'learned') {
    return row.head === entry.head ? { seq, id, rev: revOf(row.seq, entry.head), deleted: false } : null;
  }
  const stands = row.head === null && row.withdrawn?.at === entry.time;
  return stands ? { seq, id, rev: revOf(row.seq + 1, sha256Hex(bytes)), deleted: true } : null;
}

/** @param hash of the head; of the entry where a package was withdrawn and has none */
export const revOf = (seq: number, hash: string): string => `${seq}-${hash.slice(0, 32)}`;

/** A change as one line of JSON, without its end; `doc` is left out where it is undefined. */
export function showChange({ seq, id, rev, deleted }: PackageChange): string {
  return JSON.stringify({ seq, id, changes: [{ rev }], ...(deleted ? { deleted } : {}) });
}

/** Beginning, separator and end of the document that a normal feed and a long poll answer with. */
export const RESULTS_START = '{"results":[\n';
export const RESULTS_BETWEEN = ',\n';

/** @param pending how many changes there may be after `lastSeq`; 0 only where there are none */
export const resultsEnd = (lastSeq: number, pending: number): string =>
  `\n],\n"last_seq":${lastSeq},"pending":${pending}}\n`;

/** Last line of a continuous feed. */
export const feedEnd = (lastSeq: number, pending: number): string =>
  `${JSON.stringify({ last_seq: lastSeq, pending })}\n`;
