/**
 * A large tarball on its way into the store, read along by clients that verify it themselves.
 *
 * Order: pieces go to a temporary file and may leave from there, except the last 64 KiB; the whole is hashed; if it is right,
 * the store gives it its name (commit point); only then may the end leave. So nobody ever holds something wrong that looks
 * complete, and a crash leaves the whole tarball or nothing under its name.
 */
import { UpstreamError } from '../../core/errors.ts';
import { CHUNK_BYTES, TARBALL_BYTES_MAX } from '../../core/limits.ts';
import type { BlobId, ByteRange, CacheBlobStore, StreamedBlob } from '../../io/blob-store.ts';
import type { GrowingBlob } from '../../io/growing-blob.ts';
import { ReadAlong } from '../../io/read-along.ts';

/**
 * From this size on the first bytes leave before the last ones were checked. A smaller one is there in a moment, and until
 * then a failure can be told with a status and a reason.
 */
export const STREAM_BYTES_MIN = 1024 * 1024;

/** A tarball that is coming in. `size` in bytes, as the upstream says. */
export type Streaming = {
  readonly size: number;
  /** @throws whatever keeps the rest from coming, before a byte that may not leave */
  readonly read: (range: ByteRange) => AsyncIterable<Uint8Array>;
};

/**
 * Receives a tarball.
 *
 * @param from where it comes from, for the message of an error
 * @param begun called when its first bytes are there, with what can be read along
 * @throws IntegrityError, TooLargeError, StorageFullError, or what the source throws; nothing is stored then
 */
export async function streamIn(
  store: CacheBlobStore,
  id: BlobId,
  { size, body, from }: { readonly size: number; readonly body: AsyncIterable<Uint8Array>; readonly from: string },
  begun: (streaming: Streaming) => void,
): Promise<StreamedBlob> {
  let intake: Intake | null = null;
  try {
    // Begun inside the loop: an error thrown before it would leave the source open.
    for await (const piece of body) {
      if (!intake) {
        intake = await beginIntake(store, id, from);
        const { along } = intake;
        begun({ size, read: (range) => readFrom(store, id, along, range) });
      }
      await intake.growing.append(piece);
      intake.along.publish(Math.min(intake.growing.size, size - CHUNK_BYTES));
    }
    intake ??= await beginIntake(store, id, from);
    return await keep(id, intake);
  } catch (error) {
    intake?.along.end(error);
    throw error;
  } finally {
    await intake?.growing.end();
  }
}

type Intake = { readonly growing: GrowingBlob; readonly along: ReadAlong };

async function beginIntake(store: CacheBlobStore, id: BlobId, from: string): Promise<Intake> {
  const growing = await store.grow(id, { maxBytes: TARBALL_BYTES_MAX, keyAlgorithm: 'sha512', from });
  return { growing, along: new ReadAlong(growing) };
}

async function keep(id: BlobId, { growing, along }: Intake): Promise<StreamedBlob> {
  const stored = growing.check();
  await growing.keep();
  along.publish(stored.size);
  along.end(new UpstreamError({ what: `tarball sha512 ${id.hex}`, reason: 'it is shorter than the upstream said' }));
  return stored;
}

/** From what is coming in; from the store for those who come when all of it is there. */
async function* readFrom(
  store: CacheBlobStore,
  id: BlobId,
  along: ReadAlong,
  range: ByteRange,
): AsyncGenerator<Uint8Array> {
  if (along.hold()) {
    try {
      yield* along.read(range);
    } finally {
      await along.release();
    }
  } else {
    const opened = await store.open(id, range);
    if (!opened) throw new UpstreamError({ what: `tarball sha512 ${id.hex}`, reason: 'it could not be fetched' });
    yield* opened.body;
  }
}
