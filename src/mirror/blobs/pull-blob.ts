/**
 * The bytes of one blob out of several sources: where one breaks off or sends a wrong chunk, the next one continues from
 * that byte. With chunk hashes every piece is a chunk that has its hash; without them pieces are as they come, and only
 * the whole can be checked.
 */
import { ChunkChecker } from '../../core/chunks.ts';
import { FederationError, IntegrityError, NotFoundError, UpstreamError } from '../../core/errors.ts';
import { CHUNK_BYTES, TARBALL_BYTES_MAX } from '../../core/limits.ts';
import type { ChunkFacts } from '../../core/measured.ts';
import type { BlobId } from '../../io/blob-store.ts';
import type { HttpClient } from '../../io/http-client.ts';
import type { Logger } from '../../io/logger.ts';
import type { Metrics } from '../../io/metrics.ts';
import { learnChunks, type MeasuredReader } from './learn-chunks.ts';

/** How long one source may take, ms. */
export type FetchTimes = {
  readonly headersTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly totalTimeoutMs: number;
};

/** A blob on its way, and what is learned of it meanwhile. */
export type Pull = {
  readonly id: BlobId;
  /** The byte that comes next. */
  at: number;
  /** Bytes of the whole; null until somebody has said it. */
  size: number | null;
  /** Undefined until they were asked for; null if they can't be had. */
  facts: ChunkFacts | null | undefined;
  /** The sources whose bytes were passed on, the last one at the end. */
  gave: string[];
  /** Not to be asked any more. */
  readonly liars: Set<string>;
};

export type PullDeps = {
  readonly client: HttpClient;
  readonly origin: string;
  /** Base URLs, in the order of the configuration. */
  readonly peers: readonly string[];
  readonly measured: MeasuredReader;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly times: FetchTimes;
};

/**
 * Whether a source is the tarball's own URL at a registry that may know nothing of this federation: whatever comes is
 * checked against its hash.
 */
const isTarball = (source: string): boolean => source.includes('/-/');

/** The sources are gone through again as long as that brings anything. */
const ROUNDS_MAX = 3;

export function newPull(id: BlobId): Pull {
  return { id, at: 0, size: null, facts: undefined, gave: [], liars: new Set() };
}

/**
 * From `pull.at` to the end; the first piece comes when size and chunk hashes are known, as far as they can be.
 * @param sources base URLs or those of the tarball itself, in the order in which to try them
 * @throws UpstreamError when no source is left, and the signal's reason once it aborts
 */
export async function* pullBlob(
  deps: PullDeps,
  pull: Pull,
  sources: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (let round = 0, before = -1; round < ROUNDS_MAX && pull.at > before; round++) {
    before = pull.at;
    for (const source of sources.filter((one) => !pull.liars.has(one))) {
      try {
        yield* pullFrom(deps, pull, source, signal);
        return;
      } catch (error) {
        signal.throwIfAborted();
        noteFailure(deps, pull, source, error);
      }
    }
  }
  throw new UpstreamError({ what: `blob ${pull.id.hex}`, reason: 'no source could give all of it' });
}

/** Counts what became of asking a source. */
export function countFetch(deps: PullDeps, source: string, outcome: string): void {
  deps.metrics
    .counter('mirror_fetches_total', 'Blobs asked of a peer, the origin or the upstream', ['source', 'outcome'])
    .inc({ source: publicName(deps, source), outcome });
}

/** The metrics are for everyone to read, and where an operator's own peers are is not. */
function publicName({ origin, peers }: PullDeps, source: string): string {
  if (source === origin) return 'origin';
  if (isTarball(source)) return 'upstream';
  return peers.includes(source) ? `peer ${peers.indexOf(source) + 1}` : 'unknown';
}

/**
 * The whole is wrong, and no chunk hashes say where. One source alone is a liar; of several the last one is left to be
 * asked for everything by itself.
 */
export function blame(deps: PullDeps, pull: Pull, error: IntegrityError): void {
  const [first = '', ...others] = pull.gave;
  if (others.length === 0) {
    noteWrongBytes(deps, pull, first, error);
    return;
  }
  for (const source of pull.gave.slice(0, -1)) pull.liars.add(source);
  deps.logger.warn({ sources: pull.gave, blob: pull.id.hex }, 'parts of several sources make no whole');
}

async function* pullFrom(deps: PullDeps, pull: Pull, source: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const opened = await openAt(deps, pull, source, signal);
  try {
    await settle(deps, pull, opened.size);
    for await (const piece of piecesOf(pull, source, opened.body)) {
      if (pull.gave.at(-1) !== source) pull.gave.push(source);
      pull.at += piece.length;
      yield piece;
    }
  } finally {
    opened.destroy();
  }
  if (pull.size !== null && pull.at !== pull.size) throw broken(source, `${pull.at} of ${pull.size} bytes came`);
}

/** Only what has its hash, where that is known. */
async function* piecesOf(pull: Pull, source: string, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const checker = pull.facts ? new ChunkChecker(pull.facts, pull.at, source) : null;
  for await (const piece of body) {
    if (checker) yield* checker.push(piece);
    else yield piece;
  }
}

/** Size and chunk hashes, from now on the same for every source. */
async function settle(deps: PullDeps, pull: Pull, size: number | null): Promise<void> {
  pull.facts ??= pull.facts === undefined ? await factsOf(deps, pull.id, size) : null;
  pull.size ??= pull.facts?.size ?? size;
  if (size !== null && size !== pull.size) throw broken('a source', `it says ${size} bytes, the blob has ${pull.size}`);
}

/** A blob of one chunk is checked whole, at no loss of time. */
async function factsOf(
  { client, origin, measured, logger }: PullDeps,
  id: BlobId,
  size: number | null,
): Promise<ChunkFacts | null> {
  if (id.algorithm !== 'sha512' || (size !== null && size <= CHUNK_BYTES)) return null;
  try {
    return await learnChunks(client, origin, id.hex, measured);
  } catch (error) {
    if (!(error instanceof FederationError)) throw error;
    logger.debug(
      { blob: id.hex, reason: error.message },
      'no chunk hashes; the whole is checked before its tail leaves',
    );
    return null;
  }
}

type Opened = {
  /** Bytes of the whole, if the source says so. */
  readonly size: number | null;
  readonly body: AsyncIterable<Uint8Array>;
  readonly destroy: () => void;
};

async function openAt({ client, times }: PullDeps, pull: Pull, source: string, signal: AbortSignal): Promise<Opened> {
  const { id, at } = pull;
  const url = isTarball(source) ? source : `${source}/-/federation/blob/${id.algorithm}/${id.hex}`;
  const range = at > 0 ? { range: `bytes=${at}-` } : {};
  const headers = { 'accept-encoding': 'identity', ...range };
  const answer = await client.open(url, { ...times, maxBytes: TARBALL_BYTES_MAX, signal, headers });
  const { status, body } = answer;
  const destroy = (): void => body.destroy();
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.headers['content-range'] ?? '') ?? [];
  if (status === 206 && Number(first) === at) return { size: Number(total), body, destroy };
  if (status === 200) {
    const length = answer.headers['content-length'];
    return { size: length === undefined ? null : Number(length), body: skip(body, at), destroy };
  }
  destroy();
  throw status === 404 ? new NotFoundError(`${source} does not have it`) : broken(source, `status ${status}`);
}

/** Of a source that knows no ranges. */
async function* skip(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const piece of body) {
    if (piece.length > left) yield piece.subarray(left);
    left = Math.max(0, left - piece.length);
  }
}

function noteFailure(deps: PullDeps, pull: Pull, source: string, error: unknown): void {
  if (error instanceof IntegrityError) {
    noteWrongBytes(deps, pull, source, error);
    return;
  }
  const absent = error instanceof NotFoundError;
  countFetch(deps, source, absent ? 'not-there' : 'failed');
  const reason = error instanceof FederationError ? error.message : String(error);
  if (!absent) deps.logger.warn({ source, blob: pull.id.hex, at: pull.at, reason }, 'a source failed');
}

function noteWrongBytes(deps: PullDeps, pull: Pull, source: string, error: IntegrityError): void {
  const { expected, actual } = error;
  pull.liars.add(source);
  countFetch(deps, source, 'wrong-bytes');
  deps.logger.error({ source, blob: pull.id.hex, expected, actual }, 'wrong bytes from a source; they are not used');
}

function broken(source: string, reason: string): UpstreamError {
  return new UpstreamError({ what: source, reason });
}
