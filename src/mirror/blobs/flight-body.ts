/**
 * The body of an answer out of a flight. A body that was begun goes on wherever right bytes can be had: from the flight,
 * the store, or straight from the sources. Where none can, it ends in the way in which the client recovers.
 */
import { reasonOf, StorageFullError } from '../../core/errors.ts';
import type { BlobStore, ByteRange } from '../../io/blob-store.ts';
import type { Logger } from '../../io/logger.ts';
import type { Metrics } from '../../io/metrics.ts';
import { type BadEnd, endingAs } from '../../io/unfinished-body.ts';
import { type Flight, LandedError } from './flight.ts';
import type { Pull } from './pull-blob.ts';

export type BodyDeps = {
  readonly blobs: BlobStore;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** What is missing of a blob whose chunk hashes are known, without storing it. */
  readonly restOf: (pull: Pull, start: number) => AsyncIterable<Uint8Array>;
};

/** @throws whatever ended the flight, to have the connection cut */
export function flightBody(
  deps: BodyDeps,
  flight: Flight,
  range: ByteRange,
  badEnd: BadEnd,
): AsyncGenerator<Uint8Array> {
  return endingAs(badEnd, bytesOf(deps, flight, range), range.end - range.start, (error, sent) => {
    const reason = reasonOf(error);
    deps.metrics
      .counter('mirror_unfinished_bodies_total', 'Bodies that could not be finished', ['end'])
      .inc({ end: badEnd });
    const facts = { blob: flight.id.hex, sent: range.start + sent, of: range.end, end: badEnd, reason };
    deps.logger.error(facts, 'a body could not be finished');
  });
}

async function* bytesOf(deps: BodyDeps, flight: Flight, { start, end }: ByteRange): AsyncGenerator<Uint8Array> {
  let sent = start;
  try {
    for await (const piece of flight.read({ start, end })) {
      sent += piece.length;
      yield piece;
    }
  } catch (error) {
    yield* upTo(await elsewhere(deps, flight, { start: sent, end }, error), end - sent);
  }
}

/** Where the bytes are to be had that a flight no longer gives. */
async function elsewhere(
  deps: BodyDeps,
  flight: Flight,
  range: ByteRange,
  error: unknown,
): Promise<AsyncIterable<Uint8Array>> {
  const stored = error instanceof LandedError ? await deps.blobs.open(flight.id, range) : null;
  if (stored) return stored.body;
  // What was sent was right only if each chunk was checked.
  const wasChecked = Boolean(flight.pull.facts);
  const worthTrying = error instanceof LandedError || error instanceof StorageFullError;
  if (wasChecked && worthTrying) return deps.restOf(flight.pull, range.start);
  throw flight.failure ?? error;
}

/** The first bytes of a body. */
export async function* upTo(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const piece of body) {
    yield piece.subarray(0, left);
    left -= piece.length;
    if (left <= 0) return;
  }
}
