/**
 * One request for a blob at a mirror, from memory or disk if it is held, else fetched first; and if it can't be had, the
 * client goes back to its door.
 *
 * A body that was begun is finished with right bytes or not at all: where the disk turns out to be wrong half-way, the
 * blob is fetched anew and sending goes on behind the last good byte.
 */
import { IntegrityError, NotFoundError, UpstreamError } from '../core/errors.ts';
import { bounceUrl } from '../core/hosts-list.ts';
import { CACHE } from '../core/http-semantics.ts';
import { blobAnswer } from '../io/blob-answer.ts';
import type { BlobId, BlobStore, ByteRange } from '../io/blob-store.ts';
import type { Answer, Incoming } from '../io/http-server.ts';
import type { Logger } from '../io/logger.ts';
import type { Metrics } from '../io/metrics.ts';
import type { BlobFetcher } from './fetch-blob.ts';
import type { HeldList } from './held-list.ts';

/** Up to here a blob is sent in one piece out of memory. */
const WHOLE_BYTES_MAX = 1024 * 1024;

/** On whose word a blob that is not held is fetched. */
export type FetchRight =
  /** A client that the origin sent: it can be sent back. */
  | { readonly by: 'mark'; readonly mark: string; readonly doorId: string }
  /** Another host: it asks the origin itself if we fail, and our peers are not asked, so that no two ask in a circle. */
  | { readonly by: 'host' }
  /** A client at this mirror's own door, who has nowhere else to go. */
  | { readonly by: 'door' }
  | null;

export type BlobServer = {
  /**
   * @param rightOf asked only if the blob is not held: a hit costs no check of marks and signatures
   * @throws NotFoundError if the blob is not held and nobody entitled asks for it
   */
  serve(request: Pick<Incoming, 'method' | 'headers'>, id: BlobId, rightOf: () => FetchRight): Promise<Answer>;
  /** Requests that ended in a bounce or an error since the start: what heartbeats tell. */
  failures(): number;
};

export function createBlobServer(deps: {
  readonly blobs: BlobStore;
  readonly fetcher: BlobFetcher;
  readonly list: HeldList;
  readonly origin: string;
  readonly peers: readonly string[];
  readonly logger: Logger;
  readonly metrics: Metrics;
}): BlobServer {
  const { blobs, fetcher, origin, peers } = deps;
  let failures = 0;

  async function answerHeld(request: Pick<Incoming, 'method' | 'headers'>, id: BlobId): Promise<Answer | null> {
    const size = await blobs.size(id);
    if (size === null) return null;
    const open = size <= WHOLE_BYTES_MAX ? openWhole : openStream;
    try {
      return await blobAnswer(request, id, { size, open: (range) => open(id, range) });
    } catch (error) {
      if (!(error instanceof IntegrityError) && !(error instanceof GoneError)) throw error;
      deps.logger.error({ blob: id.hex, reason: error.message }, 'a stored blob is damaged; it is fetched anew');
      return null;
    }
  }

  async function openWhole(id: BlobId, { start, end }: ByteRange): Promise<Uint8Array> {
    const bytes = await blobs.read(id);
    if (!bytes) throw new GoneError('it has just been removed');
    return bytes.subarray(start, end);
  }

  async function openStream(id: BlobId, range: ByteRange): Promise<AsyncIterable<Uint8Array>> {
    const opened = await blobs.open(id, range);
    if (!opened) throw new GoneError('it has just been removed');
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
      if (!(error instanceof IntegrityError)) throw error;
      deps.logger.error(
        { blob: id.hex, reason: error.message },
        'a stored blob is damaged; going on from a fresh copy',
      );
      const fresh = (await fetcher.fetch(id, [...peers, origin])) && (await blobs.open(id, { start: sent, end }));
      if (!fresh) throw error;
      yield* fresh.body;
    }
  }

  function bounce(id: BlobId, { mark, doorId }: { mark: string; doorId: string }): Answer {
    const list = deps.list.current()?.list;
    const location = list && bounceUrl(list, { doorId, sha512: id.hex, mark });
    if (!location) throw new NotFoundError('this mirror can’t get the blob, and knows no door to send you back to');
    deps.metrics.counter('mirror_bounces_total', 'Clients sent back to their door').inc();
    return { status: 302, headers: { location, 'cache-control': CACHE.noStore, 'content-length': '0' }, body: null };
  }

  return {
    async serve(request, id, rightOf) {
      const held = await answerHeld(request, id);
      if (held) return held;
      const right = rightOf();
      if (right === null) throw new NotFoundError(`this mirror does not hold ${id.algorithm} ${id.hex}`);
      const sources = right.by === 'host' ? [origin] : [...peers, origin];
      const fetched = (await fetcher.fetch(id, sources)) && (await answerHeld(request, id));
      if (fetched) return fetched;
      failures++;
      if (right.by === 'mark') return bounce(id, right);
      if (right.by === 'door')
        throw new UpstreamError({ what: `tarball ${id.hex}`, reason: 'no peer and no origin could give it now' });
      throw new NotFoundError(`this mirror could not get ${id.algorithm} ${id.hex}`);
    },
    failures: () => failures,
  };
}

/** The blob was there a moment ago. */
class GoneError extends Error {}
