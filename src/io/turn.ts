/**
 * Keeps long runs of work that never wait from holding up everything else in the process: hashing, reading rows.
 *
 *     for (const row of rows) {
 *       work(row);
 *       if (turn.isSpent()) await turn.give();
 *     }
 *
 * Those who share a `Turn` share its time, however many of them run at once.
 */

import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { Steps } from '../core/steps.ts';

const TURN_MS = 8;
/** What is hashed or copied between two looks at the clock: well below a millisecond. */
const PIECE_BYTES = 256 * 1024;

export class Turn {
  #since = performance.now();

  isSpent(): boolean {
    return performance.now() - this.#since > TURN_MS;
  }

  /** Lets sockets and timers have their turn. */
  async give(): Promise<void> {
    await setImmediate();
    if (this.isSpent()) this.#since = performance.now();
  }
}

/** The result of work that comes in steps. */
export async function inTurns<T>(steps: Steps<T>, turn: Turn = new Turn()): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (turn.isSpent()) await turn.give();
  }
}

/** SHA-256 of bytes that may be many, as lower-case hex. */
export function sha256InTurns(bytes: Uint8Array): Promise<string> {
  return inTurns(hashPieces(bytes));
}

function* hashPieces(bytes: Uint8Array): Steps<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    hash.update(bytes.subarray(at, at + PIECE_BYTES));
    yield;
  }
  return hash.digest('hex');
}
