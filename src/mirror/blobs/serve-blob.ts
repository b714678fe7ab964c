/**
 * One request for a blob at a mirror: from memory or disk if it is held, else while it is fetched; and if it can't be had,
 * the client goes back to its door.
 *
 * No byte of a held blob leaves unchecked, and of one that is being fetched none that could make the whole pass for right
 * (flight.ts). Where the disk turns out to be wrong half-way, sending goes on from a fresh copy behind the last good byte.
 */
import { type Client, checksFirst, checksItself, requestingClient } from '../../core/clients.ts';
import { FederationError, IntegrityError, NotFoundError, UpstreamError, WithdrawnError } from '../../core/errors.ts';
import { bounceUrl } from '../../core/hosts-list.ts';
import { CACHE } from '../../core/http-semantics.ts';
import type { TombstoneRow } from '../../core/tables.ts';
import { blobAnswer } from '../../io/blob-answer.ts';
import type { BlobId, BlobStore, ByteRange } from '../../io/blob-store.ts';
import { KEPT_BYTES_MAX } from '../../io/checked-reads.ts';
import type { Answer, Incoming } from '../../io/http-server.ts';
import { LentBytes } from '../../io/lent-bytes.ts';
import type { Logger } from '../../io/logger.ts';
import type { Metrics } from '../../io/metrics.ts';
import { ALWAYS_WHOLE_BYTES_MAX, LENT_BYTES_MAX } from '../../io/send-blob.ts';
import type { BadEnd } from '../../io/unfinished-body.ts';
import type { HeldList } from '../membership/held-list.ts';
import type { BlobFetcher } from './fetch-blob.ts';
import type { Flight, Ready } from './flight.ts';
import { flightBody, upTo } from './flight-body.ts';
import type { Listing } from './listing.ts';
import type { Passing } from './pass-on.ts';
import type { Pull } from './pull-blob.ts';
import type { Tombstones } from './tombstones.ts';

/** On whose word a blob that is not held is fetched. */
export type FetchRight =
  /** A client that the origin sent: it can be sent back. */
  | { readonly by: 'mark'; readonly mark: string; readonly doorId: string }
  /** Another host: it asks the origin itself if we fail, and our peers are not asked, so that no two ask in a circle. */
  | { readonly by: 'host' }
  /** A client at this mirror's own door, who has nowhere else to go, for what the log lists; `lastly` are sources for then. */
  | { readonly by: 'door'; readonly listing: Listing; readonly lastly: readonly string[] }
  /** Anybody, of a blob that was held until it was found to have rotted. */
  | { readonly by: 'rot' }
  | null;

type Asked = Pick<Incoming, 'method' | 'headers'>;
/** Null: not there, or just removed. */
type Held = Answer | 'rot' | null;
type Opener = (id: BlobId, range: ByteRange) => Promise<AsyncIterable<Uint8Array> | Uint8Array>;

export type BlobServer = {
  /**
   * @param rightOf asked only if the blob is not held: a hit costs no check of marks and signatures
   * @throws NotFoundError if the blob is not held and nobody entitled asks for it; WithdrawnError if that is because it
   * was withdrawn
   */
  serve(request: Asked, id: BlobId, rightOf: () => FetchRight): Promise<Answer>;
  /** Requests that ended in a bounce or an error since the start: what heartbeats tell. */
  failures(): number;
};

export function createBlobServer(deps: {
  readonly blobs: BlobStore;
  readonly fetcher: BlobFetcher;
  readonly tombstones: Pick<Tombstones, 'get' | 'isSettled' | 'lift'>;
  /** For what can't be stored. */
  readonly passing: {
    readonly whole: (id: BlobId, sources: readonly string[]) => Promise<Passing | null>;
    readonly restOf: (pull: Pull, start: number) => AsyncIterable<Uint8Array>;
  };
  readonly list: HeldList;
  readonly origin: string;
  readonly peers: readonly string[];
  readonly logger: Logger;
  readonly metrics: Metrics;
}): BlobServer {
  const { blobs, fetcher, tombstones, passing, origin, peers, logger, metrics } = deps;
  const bodies = { blobs, logger, metrics, restOf: passing.restOf };
  const lent = new LentBytes(LENT_BYTES_MAX);
  let failures = 0;

  async function answerHeld(request: Asked, id: BlobId): Promise<Held> {
    const size = await blobs.size(id);
    if (size === null) return null;
    if (size <= ALWAYS_WHOLE_BYTES_MAX) return answerFrom(openWhole, request, id, size);
    const onClose = size <= KEPT_BYTES_MAX ? lent.lend(id.hex, size) : null;
    if (onClose === null) return answerFrom(openStream, request, id, size);
    let answer: Held = null;
    try {
      answer = await answerFrom(openWhole, request, id, size);
    } finally {
      if (!isAnswer(answer)) onClose();
    }
    return isAnswer(answer) ? { ...answer, onClose } : answer;
  }

  async function answerFrom(open: Opener, request: Asked, id: BlobId, size: number): Promise<Held> {
    try {
      return await blobAnswer(request, id, { size, open: (range) => open(id, range) });
    } catch (error) {
      if (!isLoss(error)) throw error;
      logger.error({ blob: id.hex, reason: error.message }, 'a stored blob is damaged; it is fetched anew');
      return error instanceof IntegrityError ? 'rot' : null;
    }
  }

  async function openWhole(id: BlobId, { start, end }: ByteRange): Promise<Uint8Array> {
    const bytes = await blobs.read(id);
    if (!bytes) throw new NotFoundError('it has just been removed');
    return bytes.subarray(start, end);
  }

  async function openStream(id: BlobId, range: ByteRange): Promise<AsyncIterable<Uint8Array>> {
    const opened = await blobs.open(id, range);
    if (!opened) throw new NotFoundError('it has just been removed');
    return mended(id, opened.body, range);
  }

  /** The body, continued from a fresh copy where the stored one is found to be damaged. */
  async function* mended(id: BlobId, body: AsyncIterable<Uint8Array>, { start, end }: ByteRange) {
    let sent = start;
    try {
      for await (const piece of body) {
        sent += piece.length;
        yield piece;
      }
    } catch (error) {
      if (!isLoss(error) || (await tombstones.get(id.hex))) throw error;
      logger.error({ blob: id.hex, reason: error.message }, 'a stored blob is damaged; going on from a fresh copy');
      const flight = fetcher.join(id, [...peers, origin]);
      const ready = await flight?.ready;
      if (!flight || !ready || !(ready.checked || (await flight.whole))) throw error;
      yield* flightBody(bodies, flight, { start: sent, end }, 'cut');
    }
  }

  /** Null if nothing could be had, or nothing that this client may get. */
  async function answerFetched(
    request: Asked,
    id: BlobId,
    right: Exclude<FetchRight, null>,
    sources: readonly string[],
    despite: TombstoneRow | null = null,
  ): Promise<Answer | null> {
    const flight = fetcher.join(id, sources, despite);
    const ready = await flight?.ready;
    if (!flight || !ready) return null;
    const client = requestingClient(request.headers);
    const mayStream = ready.checked || right.by === 'host' || mayHaveUnchecked(client, sources);
    if (!mayStream && !(await flight.whole)) return null;
    const held = flight.isWhole ? await answerHeld(request, id) : null;
    return isAnswer(held) ? held : streamed(request, flight, ready, right.by === 'host' ? 'cut' : client.onBadBody);
  }

  /** What strangers send reaches no client that makes use of it before it has checked the whole. */
  function mayHaveUnchecked(client: Client, sources: readonly string[]): boolean {
    return checksFirst(client) || (checksItself(client) && sources.every((source) => source === origin));
  }

  /** A body that may end in filler must not get into anybody else's cache. */
  async function streamed(request: Asked, flight: Flight, { size }: Ready, onBadBody: BadEnd): Promise<Answer> {
    const open = async (range: ByteRange) => {
      const badEnd = range.end - range.start === size ? onBadBody : 'cut';
      return flightBody(bodies, flight, range, badEnd);
    };
    const answer = await blobAnswer(request, flight.id, { size, open });
    if (flight.isWhole || (answer.status !== 200 && answer.status !== 206)) return answer;
    return { ...answer, headers: { ...answer.headers, 'cache-control': CACHE.byHashUnfinished } };
  }

  /** For a client that has nowhere else to go; null if that can't be done either. */
  async function answerPassing(request: Asked, id: BlobId, sources: readonly string[]): Promise<Answer | null> {
    try {
      const passed = await passing.whole(id, sources);
      if (!passed) return null;
      return blobAnswer(request, id, {
        size: passed.size,
        open: async ({ start, end }) => upTo(passed.from(start), end - start),
      });
    } catch (error) {
      if (!(error instanceof FederationError)) throw error;
      logger.warn({ blob: id.hex, reason: error.message }, 'a blob could not be passed on');
      return null;
    }
  }

  function bounce(id: BlobId, { mark, doorId }: { mark: string; doorId: string }): Answer {
    const list = deps.list.current()?.list;
    const location = list && bounceUrl(list, { doorId, sha512: id.hex, mark });
    if (!location) throw new NotFoundError('this mirror can’t get the blob, and knows no door to send you back to');
    metrics.counter('mirror_bounces_total', 'Clients sent back to their door').inc();
    return { status: 302, headers: { location, 'cache-control': CACHE.noStore, 'content-length': '0' }, body: null };
  }

  /**
   * The origin sent the client here, so another version may have the same bytes; that is so if the origin itself gives
   * them. Anything else the client hears at its door.
   */
  async function answerWithdrawn(
    request: Asked,
    id: BlobId,
    right: FetchRight,
    tombstone: TombstoneRow,
  ): Promise<Answer> {
    const { name, version, reason } = tombstone;
    if (right?.by !== 'mark') throw new WithdrawnError({ subject: `${name}@${version}`, reason });
    const given = tombstones.isSettled(tombstone)
      ? await answerFetched(request, id, right, [origin], tombstone)
      : await answerPassing(request, id, [origin]);
    return given ?? bounce(id, right);
  }

  return {
    async serve(request, id, rightOf) {
      const held = await answerHeld(request, id);
      if (isAnswer(held)) return held;
      const right = rightOf() ?? (held && { by: held });
      const tombstone = id.algorithm === 'sha512' ? await tombstones.get(id.hex) : null;
      if (tombstone && right?.by !== 'door') return answerWithdrawn(request, id, right, tombstone);
      // A version that is listed has the same bytes.
      if (tombstone && right?.by === 'door') await tombstones.lift(id.hex, right.listing);
      if (right === null) throw new NotFoundError(`this mirror does not hold ${id.algorithm} ${id.hex}`);
      const lastly = right.by === 'door' ? right.lastly : [];
      const sources = right.by === 'host' ? [origin] : [...peers, origin, ...lastly];
      const fetched = await answerFetched(request, id, right, sources);
      if (fetched) return fetched;
      const passed = right.by === 'door' && (await answerPassing(request, id, sources));
      if (passed) return passed;
      failures++;
      if (right.by === 'mark') return bounce(id, right);
      if (right.by === 'door') throw notHad(right.listing);
      throw new NotFoundError(`this mirror could not get ${id.algorithm} ${id.hex}`);
    },
    failures: () => failures,
  };
}

const isAnswer = (held: Held): held is Answer => held !== null && held !== 'rot';

/** By name: at a door people read it. */
function notHad({ name, version }: Listing): UpstreamError {
  return new UpstreamError({
    what: `tarball of ${name}@${version}`,
    reason: 'no peer and no origin could give it now',
  });
}

/** The blob was there a moment ago: it has rotted, or was removed. */
function isLoss(error: unknown): error is IntegrityError | NotFoundError {
  return error instanceof IntegrityError || error instanceof NotFoundError;
}
