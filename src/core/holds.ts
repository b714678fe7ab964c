/**
 * How long to leave alone what failed again and again: one failure may be the moment's, so the first few cost nothing; from
 * then on each failure in a row doubles the wait. A success forgets them all. Bounded in memory; times are ms of one clock.
 */

export type HoldLimits = {
  /** Failures in a row without a wait. */
  readonly freeFailures: number;
  readonly firstMs: number;
  readonly longestMs: number;
  /** Most things that are remembered; the one that failed longest ago goes first. */
  readonly entriesMax: number;
};

export const HOLD_LIMITS: HoldLimits = {
  freeFailures: 5,
  firstMs: 30_000,
  longestMs: 10 * 60_000,
  entriesMax: 10_000,
};

export class Holds {
  readonly #limits: HoldLimits;
  // In the order of the last failure.
  readonly #failed = new Map<string, { readonly failures: number; readonly until: number }>();

  constructor(limits: Partial<HoldLimits> = {}) {
    this.#limits = { ...HOLD_LIMITS, ...limits };
  }

  /** For how many ms the thing is still to be left alone; 0 if it may be tried. */
  left(key: string, now: number): number {
    return Math.max(0, (this.#failed.get(key)?.until ?? now) - now);
  }

  failed(key: string, now: number): void {
    const failures = (this.#failed.get(key)?.failures ?? 0) + 1;
    this.#failed.delete(key);
    this.#failed.set(key, { failures, until: now + this.#waitAfter(failures) });
    if (this.#failed.size > this.#limits.entriesMax) this.#failed.delete(this.#failed.keys().next().value as string);
  }

  succeeded(key: string): void {
    this.#failed.delete(key);
  }

  #waitAfter(failures: number): number {
    const { freeFailures, firstMs, longestMs } = this.#limits;
    const doublings = failures - freeFailures - 1;
    return doublings < 0 ? 0 : Math.min(longestMs, firstMs * 2 ** doublings);
  }
}
