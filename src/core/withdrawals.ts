/**
 * When to stop following an upstream that loses too much at once: an outage that looks like emptiness, or a takeover,
 * must not empty this registry as well. A few withdrawals, mostly of malware, are what happens every day.
 */

export type WithdrawalLimits = {
  readonly windowMs: number;
  /** Versions of packages that are still there. */
  readonly versionsMax: number;
  readonly packagesMax: number;
  /** Of what was looked at within the window, from 0 to 1: a busy registry loses more than a quiet one. */
  readonly shareMax: number;
};

export const WITHDRAWAL_LIMITS: WithdrawalLimits = {
  windowMs: 10 * 60_000,
  versionsMax: 50,
  packagesMax: 10,
  shareMax: 0.5,
};

/** A look at a package that was known: how many versions were, and how many of them are gone; `all`: the package is. */
export type Look = { readonly versions: number; readonly gone: number | 'all' };

type Counts = { packages: number; packagesGone: number; versions: number; versionsGone: number };
type Slice = Counts & { readonly start: number };

/** Slices of a window; it moves by one of them at a time, so that memory does not grow with what is looked at. */
const SLICES = 20;

/** Counts looks over a sliding window. Times are ms of one clock that never goes back. */
export class WithdrawalWindow {
  readonly #limits: WithdrawalLimits;
  #slices: Slice[] = [];

  constructor(limits: WithdrawalLimits = WITHDRAWAL_LIMITS) {
    this.#limits = limits;
  }

  /**
   * Counts a look.
   * @returns what is too much, in words; null while withdrawing may go on
   */
  look(look: Look, now: number): string | null {
    add(this.#sliceAt(now), look);
    return tooMuch(sumOf(this.#slices), this.#limits);
  }

  #sliceAt(now: number): Slice {
    const { windowMs } = this.#limits;
    this.#slices = this.#slices.filter(({ start }) => start > now - windowMs);
    const latest = this.#slices.at(-1);
    if (latest && now < latest.start + windowMs / SLICES) return latest;
    const slice = { start: now, ...nothing() };
    this.#slices.push(slice);
    return slice;
  }
}

function add(slice: Slice, { versions, gone }: Look): void {
  slice.packages += 1;
  if (gone === 'all') {
    slice.packagesGone += 1;
    return;
  }
  slice.versions += versions;
  slice.versionsGone += gone;
}

function sumOf(slices: readonly Slice[]): Counts {
  const sum = nothing();
  for (const slice of slices) {
    for (const key of Object.keys(sum) as (keyof Counts)[]) sum[key] += slice[key];
  }
  return sum;
}

const nothing = (): Counts => ({ packages: 0, packagesGone: 0, versions: 0, versionsGone: 0 });

function tooMuch(counts: Counts, { windowMs, versionsMax, packagesMax, shareMax }: WithdrawalLimits): string | null {
  const { packages, packagesGone, versions, versionsGone } = counts;
  const minutes = windowMs / 60_000;
  if (packagesGone > packagesMax && packagesGone > shareMax * packages) {
    return `${packagesGone} of the ${packages} packages looked at within ${minutes} minutes are gone`;
  }
  if (versionsGone > versionsMax && versionsGone > shareMax * versions) {
    return `${versionsGone} of the ${versions} versions looked at within ${minutes} minutes are gone`;
  }
  return null;
}
