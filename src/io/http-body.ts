/** Bodies into memory, never more of them than was agreed. */
import type { IncomingMessage } from 'node:http';
import { BadRequestError, TooLargeError } from '../core/errors.ts';
import type { Steps } from '../core/steps.ts';
import type { Room } from './body-rooms.ts';
import { inTurns } from './turn.ts';

/**
 * The whole body of a request, as sent.
 * @throws TooLargeError before anything is read if the length is announced, else as soon as the bound is passed
 * @throws BadRequestError if the client stops half-way
 */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > maxBytes) throw tooLarge(maxBytes);
  try {
    return await collect(request, maxBytes, () => tooLarge(maxBytes), { announced });
  } catch (cause) {
    if (cause instanceof TooLargeError) throw cause;
    throw new BadRequestError('the request ended before its body was complete', { cause });
  }
}

/**
 * Joins the pieces of a body; gives way meanwhile if they are many.
 * @param tooMuch makes the error that is thrown once there are more than `maxBytes`
 * @param facts `announced`: length as a header states it, believed up to `maxBytes`; `room`: asked before a piece is kept
 */
export async function collect(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
  tooMuch: () => Error,
  { announced = 0, room }: { announced?: number; room?: Room | undefined } = {},
): Promise<Uint8Array> {
  const expected = announced > 0 && announced <= maxBytes ? announced : 0;
  const pieces: Uint8Array[] = [];
  let whole: Uint8Array | null = null;
  let size = 0;
  for await (const piece of source) {
    size += piece.length;
    if (size > maxBytes) throw tooMuch();
    await room?.grow(Math.max(size, expected));
    if (size > expected) {
      pieces.push(piece);
      continue;
    }
    // Its pages cost memory only once they are written to, so a length that is a lie costs nothing.
    whole ??= Buffer.allocUnsafeSlow(expected);
    whole.set(piece, size - piece.length);
  }
  const first = whole?.subarray(0, size - lengthOf(pieces)) ?? NOTHING;
  return pieces.length === 0 ? first : inTurns(join([first, ...pieces], size));
}

const NOTHING = new Uint8Array(0);

/** Tens of megabytes take longer to copy than others should have to wait. */
function* join(pieces: readonly Uint8Array[], size: number): Steps<Uint8Array> {
  const whole = Buffer.allocUnsafeSlow(size);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
    yield;
  }
  return whole;
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((length, piece) => length + piece.length, 0);
}

function tooLarge(maxBytes: number): TooLargeError {
  return new TooLargeError(`the request's body is larger than ${maxBytes} bytes`);
}
