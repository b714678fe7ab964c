/**
 * Passes of following the log, one at a time, the one that leads furthest first. A peer that is slow, or means to be, has
 * its time as long as nobody else waits; once the origin, which has answered already, waits for its turn, it has to give
 * way. Visitors make nobody give way, nor do other peers: they could keep one that is only slow from ever getting there.
 */
import { UpstreamTimeoutError } from '../../core/errors.ts';
import { Ranked } from '../../io/ranked.ts';
import type { LogSource } from './log-source.ts';

/** Where a pass reads from, and who showed what it leads to; null for a visitor. */
export type Sides = { readonly from: LogSource; readonly shownBy: LogSource | null };

type Pass = { readonly from: LogSource; readonly stop: AbortController; readonly begunMs: number };

const LOOKS = 4;

export class Passes {
  readonly #origin: LogSource | undefined;
  readonly #patienceMs: number;
  readonly #ranked = new Ranked();
  #current: Pass | null = null;

  /** @param patienceMs that a peer has while the origin waits */
  constructor(origin: LogSource | undefined, patienceMs: number) {
    this.#origin = origin;
    this.#patienceMs = patienceMs;
  }

  /**
   * @param task is given the source as long as the pass may last
   * @throws UpstreamTimeoutError for a peer that had to give way
   */
  run<T>(rank: number, { from, shownBy }: Sides, task: (from: LogSource) => Promise<T>): Promise<T> {
    const waiting = shownBy !== null && shownBy === this.#origin ? this.#wait() : undefined;
    return this.#ranked.run(rank, async () => {
      clearInterval(waiting);
      const stop = new AbortController();
      this.#current = { from, stop, begunMs: performance.now() };
      try {
        return await task(from.until(stop.signal));
      } finally {
        this.#current = null;
      }
    });
  }

  #wait(): NodeJS.Timeout {
    return setInterval(() => this.#hurry(), this.#patienceMs / LOOKS).unref();
  }

  #hurry(): void {
    const pass = this.#current;
    if (pass === null || pass.from === this.#origin || performance.now() - pass.begunMs < this.#patienceMs) return;
    const reason = `it took more than ${this.#patienceMs} ms while the origin was waiting`;
    pass.stop.abort(new UpstreamTimeoutError({ what: `the log at ${pass.from.name}`, reason }));
  }
}
