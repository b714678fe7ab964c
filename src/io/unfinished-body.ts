/** How a body ends that was begun and can't be finished, so that the client asks again. */

/** Filled to its length, or cut (core/clients.ts). */
export type BadEnd = 'fill' | 'cut';

const FILLER = new Uint8Array(64 * 1024);

/**
 * A body of `bytes` bytes that ends in the given way if its source fails.
 *
 * @param unfinished told why, and how many bytes of it were sent
 * @throws what the source threw, to have the connection cut
 */
export async function* endingAs(
  badEnd: BadEnd,
  body: AsyncIterable<Uint8Array>,
  bytes: number,
  unfinished: (error: unknown, sent: number) => void,
): AsyncGenerator<Uint8Array> {
  let left = bytes;
  try {
    for await (const piece of body) {
      left -= piece.length;
      yield piece;
    }
  } catch (error) {
    unfinished(error, bytes - left);
    if (badEnd === 'cut') throw error;
    for (; left > 0; left -= FILLER.length) yield FILLER.subarray(0, left);
  }
}
