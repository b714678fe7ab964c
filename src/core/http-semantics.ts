/**
 * What HTTP says about reading a stored representation: negotiation, conditions and ranges (RFC 9110), digests
 * (RFC 9530) and where an answer came from (RFC 9211). Data in, plan out; whoever holds the bytes carries it out.
 *
 * We give out no Last-Modified, so conditions by date are ignored, as RFC 9110 sections 13.1.3 and 13.1.4 demand.
 */

import { Buffer } from 'node:buffer';
import { utf8 } from './bytes.ts';
import { sha256 } from './hash.ts';

/** Request headers as Node.js gives them: lower-case names. */
export type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** What is known of the representation that was selected. `size` in bytes as sent; null while it isn't known. */
export type Representation = { etag: string; size: number | null; allowRange: boolean };

/** How to answer. `range` has an exclusive end; `body`: whether bytes of the representation follow the headers. */
export type ReadPlan = {
  status: 200 | 206 | 304 | 412 | 416;
  headers: Record<string, string>;
  range: { start: number; end: number } | null;
  body: boolean;
};

export const ABBREVIATED_TYPE = 'application/vnd.npm.install-v1+json';

/** Cache-Control by kind of path. What is named can be withdrawn, so it is never immutable; what is hashed always is. */
export const CACHE = {
  byName: 'public, max-age=300',
  byHash: 'public, max-age=31536000, immutable',
  /** For a body that may yet turn out wrong: whoever checks it may keep it, nobody for others. */
  byHashUnfinished: 'private, max-age=31536000, immutable',
  byNameUnfinished: 'private, max-age=300',
  /** Seconds, as C2SP tlog-tiles has it: the next one may be published right away. */
  checkpoint: 'public, max-age=1',
  noStore: 'no-store',
} as const;

/** On both forms of a packument, with or without a body: else a cache mixes them up. */
export const PACKUMENT_VARY = 'Accept, Accept-Encoding';

/**
 * The content coding to answer with: the one with the highest weight, the earlier offered of equals. Null if the client
 * takes none of them and not even `identity` (then 406, RFC 9110 section 12.5.3).
 *
 * Without the header `identity` is chosen: any coding would be allowed, but a client that names none may know none.
 *
 * @param offered codings that we have, the best first; `identity` is always there and need not be named
 */
export function negotiateEncoding(acceptEncoding: string | undefined, offered: readonly string[]): string | null {
  if (acceptEncoding === undefined) return 'identity';
  const weights = new Map(weighted(acceptEncoding).map(({ value, q }) => [value.replace(/^x-(?=gzip$)/, ''), q]));
  const weightOf = (coding: string) => weights.get(coding) ?? weights.get('*') ?? 0;
  const coded = heaviest(
    offered.filter((coding) => coding !== 'identity'),
    weightOf,
  );
  const identity = weights.get('identity') ?? weights.get('*') ?? UNLISTED_IDENTITY;
  if (coded !== null && weightOf(coded) >= identity) return coded;
  return identity > 0 ? 'identity' : null;
}

/** Acceptable, but less so than anything the client took the trouble to name: below the smallest weight, 0.001. */
const UNLISTED_IDENTITY = 0.0001;

/**
 * Whether to answer with the abbreviated packument: only to clients that name its type, and weigh it at least as high as
 * plain JSON. A wildcard or no header means the full form, as from every other registry.
 */
export function wantsAbbreviated(accept: string | undefined): boolean {
  const ranges = weighted(accept ?? '');
  const weightOf = (type: string) => ranges.findLast(({ value }) => value === type)?.q;
  const abbreviated = weightOf(ABBREVIATED_TYPE) ?? 0;
  const full = weightOf('application/json') ?? weightOf('application/*') ?? weightOf('*/*') ?? 0;
  return abbreviated > 0 && abbreviated >= full;
}

/**
 * Evaluates conditions and range in the order of RFC 9110 section 13.2.2. The headers are those that depend on the plan;
 * Cache-Control, Vary, Content-Type and the like are the caller's, and go with 200, 206 and 304 alike. They must not
 * replace the plan's own: an answer 412 or 416 says nothing of the resource, and no cache may give it to others.
 *
 * Only a single range is served; a request for several gets everything, as section 14.2 allows.
 *
 * @param method GET or HEAD
 */
export function planRead(method: string, headers: RequestHeaders, representation: Representation): ReadPlan {
  const { etag } = representation;
  const ifMatch = listOf(headers['if-match']);
  if (ifMatch !== null && !matchesAny(ifMatch, etag, strongly)) return bare(412, NEVER_STORED);
  const ifNoneMatch = listOf(headers['if-none-match']);
  if (ifNoneMatch !== null && matchesAny(ifNoneMatch, etag, weakly)) return bare(304, { etag });
  return planBody(method, headers, representation);
}

/** A strong entity tag over the parts that tell one representation from another, such as form hash, door and coding. */
export function etagOf(...parts: string[]): string {
  const digest = sha256(utf8(JSON.stringify(parts)));
  return `"${Buffer.from(digest).toString('base64url').slice(0, 32)}"`;
}

/** Value of `Repr-Digest` for a representation with this SHA-512, as lower-case hex; the same on 206 (RFC 9530). */
export function reprDigest(sha512: string): string {
  return `sha-512=:${Buffer.from(sha512, 'hex').toString('base64')}:`;
}

/** Why a cache asked further (RFC 9211 section 2.2). */
export type Forward = 'bypass' | 'uri-miss' | 'miss' | 'stale' | 'partial' | 'request';

/** What one cache did for one answer: either it had a fresh one, or it asked further. */
export type CacheFacts = (
  | { hit: true }
  | { fwd: Forward; fwdStatus?: number; stored?: boolean; collapsed?: boolean }
) & {
  /** Seconds that the answer stays fresh; negative if it is stale. */
  ttl?: number;
  /** Printable ASCII, for people. */
  detail?: string;
};

/** One member of `Cache-Status` (RFC 9211), such as `open-registry; fwd=stale; ttl=-20`. */
export function cacheStatus(cache: string, facts: CacheFacts): string {
  const { ttl, detail } = facts;
  const how =
    'hit' in facts
      ? ['hit']
      : [
          `fwd=${facts.fwd}`,
          ...(facts.fwdStatus === undefined ? [] : [`fwd-status=${facts.fwdStatus}`]),
          ...(facts.stored ? ['stored'] : []),
          ...(facts.collapsed ? ['collapsed'] : []),
        ];
  const more = [
    ...(ttl === undefined ? [] : [`ttl=${Math.trunc(ttl)}`]),
    ...(detail === undefined ? [] : [`detail=${structuredString(detail)}`]),
  ];
  return [cache, ...how, ...more].join('; ');
}

const NEVER_STORED = { 'cache-control': CACHE.noStore };

function planBody(method: string, headers: RequestHeaders, { etag, size, allowRange }: Representation): ReadPlan {
  const always: Record<string, string> = allowRange ? { etag, 'accept-ranges': 'bytes' } : { etag };
  // Ranges are defined for GET alone (RFC 9110 section 14.2), and mean nothing without a size.
  const ranged = method === 'GET' && allowRange && size !== null && ifRangeHolds(headers['if-range'], etag);
  const range = ranged ? rangeOf(headers.range, size) : null;
  if (range === 'unsatisfiable') return bare(416, { 'content-range': `bytes */${size}`, ...NEVER_STORED });
  if (range !== null) {
    const contentRange = `bytes ${range.start}-${range.end - 1}/${size}`;
    const length = { 'content-length': `${range.end - range.start}`, 'content-range': contentRange };
    return { status: 206, headers: { ...always, ...length }, range, body: true };
  }
  const length: Record<string, string> = size === null ? {} : { 'content-length': `${size}` };
  return { status: 200, headers: { ...always, ...length }, range: null, body: method !== 'HEAD' };
}

function bare(status: ReadPlan['status'], headers: Record<string, string>): ReadPlan {
  return { status, headers, range: null, body: false };
}

/** Only the very entity tag will do (section 13.1.5). A date never matches, since we give none out. */
function ifRangeHolds(ifRange: string | string[] | undefined, etag: string): boolean {
  return ifRange === undefined || (typeof ifRange === 'string' && strongly(ifRange.trim(), etag));
}

/** Null: there is none that we serve, so send everything. Section 14.1.1 has invalid ones ignored. */
function rangeOf(header: string | string[] | undefined, size: number): ReadPlan['range'] | 'unsatisfiable' {
  const [, first = '', last = ''] =
    /^\s*bytes\s*=\s*(\d*)-(\d*)\s*$/i.exec(typeof header === 'string' ? header : '') ?? [];
  if (first === '') return last === '' ? null : suffixRange(Number(last), size);
  const start = Number(first);
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  if (last !== '' && Number(last) < start) return null;
  return start >= size ? 'unsatisfiable' : { start, end };
}

/** The last `length` bytes. Of nothing, some last bytes are all there is, and Content-Range can't say so: send that. */
function suffixRange(length: number, size: number): ReadPlan['range'] | 'unsatisfiable' {
  if (length === 0) return 'unsatisfiable';
  return size === 0 ? null : { start: Math.max(size - length, 0), end: size };
}

/** Entity tags of If-Match and If-None-Match; `['*']` for any; null without the header. */
function listOf(header: string | string[] | undefined): string[] | null {
  if (header === undefined) return null;
  const text = typeof header === 'string' ? header : header.join(',');
  return text.trim() === '*' ? ['*'] : (text.match(/(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g) ?? []);
}

function matchesAny(tags: readonly string[], etag: string, same: (tag: string, etag: string) => boolean): boolean {
  return tags.some((tag) => tag === '*' || same(tag, etag));
}

/** Section 8.8.3.2: weak tags never match strongly. */
function strongly(tag: string, etag: string): boolean {
  return tag === etag && !tag.startsWith('W/');
}

function weakly(tag: string, etag: string): boolean {
  return tag.replace(/^W\//, '') === etag.replace(/^W\//, '');
}

// What lies between separators, which don't count inside quoted strings. Linear: no text matches in two ways.
const MEMBERS = /(?:[^,"]|"[^"]*"?)+/g;
const PARTS = /(?:[^;"]|"[^"]*"?)+/g;

/**
 * Members of a weighted list (section 12.4.2), lower-case, parameters other than `q` left out. A member whose weight
 * is not a number from 0 to 1 with at most three decimals is left out as if it weren't there.
 */
function weighted(header: string): { value: string; q: number }[] {
  return (header.match(MEMBERS) ?? []).flatMap((member) => {
    const [value = '', ...parameters] = (member.match(PARTS) ?? []).map((part) => part.trim().toLowerCase());
    const weight = parameters.find((parameter) => /^q\s*=/.test(parameter))?.replace(/^q\s*=\s*/, '') ?? '1';
    return value !== '' && /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(weight) ? [{ value, q: Number(weight) }] : [];
  });
}

function heaviest(candidates: readonly string[], weightOf: (coding: string) => number): string | null {
  const best = candidates.reduce<string | null>(
    (best, coding) => (best === null || weightOf(coding) > weightOf(best) ? coding : best),
    null,
  );
  return best !== null && weightOf(best) > 0 ? best : null;
}

/** RFC 8941 section 3.3.3; what it can't hold becomes a question mark. */
function structuredString(text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;
}
