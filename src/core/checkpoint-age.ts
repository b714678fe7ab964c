/**
 * How old what is known of a log is. A quiet log is not a frozen one: its origin cosigns the newest checkpoint anew each
 * minute, and so do witnesses, so the newest of their times says since when a reader may have been kept from news.
 */

/** Seconds that clocks may be apart, as everywhere between servers of a federation. */
const CLOCK_SKEW_SECONDS = 300;
/** A checkpoint that is older than this is shown as not fresh, and warned of. */
const FRESH_SECONDS = 3_600;
/** A host that shows no checkpoint newer than what was outdated this long ago is out of the rotation. */
export const BEHIND_MS = 300_000;

export type CheckpointAge = {
  /** Entries that it covers. */
  readonly size: number;
  /** Since it was last said to be the newest; null if nobody ever said so. */
  readonly ageSeconds: number | null;
  readonly fresh: boolean;
};

/** Whether somebody whose clock is as good as ours can have written this time by now. Both in seconds since 1970. */
export function isPlausible(time: number, now: number): boolean {
  return time <= now + CLOCK_SKEW_SECONDS;
}

/**
 * @param newest of the times at which it was said to be the newest, in seconds since 1970; null if there is none
 * @param now in seconds since 1970
 */
export function ageOf(size: number, newest: number | null, now: number): CheckpointAge {
  if (newest === null) return { size, ageSeconds: null, fresh: false };
  const ageSeconds = Math.max(0, Math.floor(now - newest));
  return { size, ageSeconds, fresh: ageSeconds <= FRESH_SECONDS };
}

/** A second's worth of checkpoints is told apart from the next, not more. */
const STEP_MS = 1_000;

/** When a log outgrew which size, as far back as it matters. Times in ms of a clock that never jumps. */
export class Outgrown {
  readonly #keepMs: number;
  readonly #steps: { readonly size: number; readonly atMs: number }[] = [];

  /** @param keepMs what was outgrown longer ago than this is only known to be so */
  constructor(keepMs: number) {
    this.#keepMs = keepMs;
  }

  /** The log has grown to this size. */
  note(size: number, atMs: number): void {
    const last = this.#steps.at(-1);
    if (last && atMs - last.atMs < STEP_MS) this.#steps[this.#steps.length - 1] = { size, atMs: last.atMs };
    else this.#steps.push({ size, atMs });
    while ((this.#steps[1]?.atMs ?? atMs) < atMs - this.#keepMs) this.#steps.shift();
  }

  /** When the log first had more than this many entries, or the earliest time that is known of; null if it has not. */
  since(size: number): number | null {
    return this.#steps.find((step) => step.size > size)?.atMs ?? null;
  }
}
