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

import { setImmediate } from 'node:timers/promises';

const TURN_MS = 8;

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
