/** Bodies into memory, never more of them than was agreed. */
import type { IncomingMessage } from 'node:http';
import { BadRequestError, TooLargeError } from '../core/errors.ts';

/**
 * The whole body of a request, as sent.
 * @throws TooLargeError before anything is read if the length is announced, else as soon as the bound is passed
 * @throws BadRequestError if the client stops half-way
 */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  try {
    return await collect(request, maxBytes, () => tooLarge(maxBytes));
  } catch (cause) {
    if (cause instanceof TooLargeError) throw cause;
    throw new BadRequestError('the request ended before its body was complete', { cause });
  }
}

/**
 * Joins the pieces of a body.
 * @param tooMuch makes the error that is thrown once there are more than `maxBytes`
 */
export async function collect(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
  tooMuch: () => Error,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of source) {
    size += piece.length;
    if (size > maxBytes) throw tooMuch();
    pieces.push(piece);
  }
  return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces, size);
}

function tooLarge(maxBytes: number): TooLargeError {
  return new TooLargeError(`the request's body is larger than ${maxBytes} bytes`);
}
