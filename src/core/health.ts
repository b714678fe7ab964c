/** Whether a host may be sent clients, folded from the results of probes. Every state says why. */

/** What one probe saw. */
export type ProbeResult =
  | { readonly kind: 'good' }
  /** The right length of time and status, and other bytes than were asked for. */
  | { readonly kind: 'wrong-bytes' }
  /** Nobody listens there. */
  | { readonly kind: 'refused' }
  /** Any other way to fail; `detail` for people, such as `status 503` or `timed out after 5000 ms`. */
  | { readonly kind: 'failed'; readonly detail: string };

/** Why a host is out. */
export type OutReason = 'not probed yet' | 'served wrong bytes' | 'refused the connection' | 'failed twice in a row';

export type Health = {
  readonly healthy: boolean;
  /** Null while healthy. */
  readonly reason: OutReason | null;
  /** Unix ms of the probe that made it healthy or put it out. */
  readonly since: number;
  /** Good or bad probes in a row until now; the other is 0. */
  readonly good: number;
  readonly bad: number;
  /** While out: good probes in a row that bring it back. */
  readonly goodNeeded: number;
  /** What the latest bad probe saw, for people; null before the first. */
  readonly lastFailure: string | null;
};

/** Straight failures that put a host out; one may be the network's. */
const FAILURES_MAX = 2;
/** Straight good probes after which a host that misbehaved is believed again. */
const GOOD_NEEDED = 3;
/** A host that only refused connections was restarting; nothing is known against its answers. */
const GOOD_NEEDED_AFTER_REFUSAL = 1;

/** Of a host that was just approved: out until a first good probe. `now`: unix ms. */
export function newHealth(now: number): Health {
  return { healthy: false, reason: 'not probed yet', since: now, good: 0, bad: 0, goodNeeded: 1, lastFailure: null };
}

/** The state after one more probe. `now`: unix ms. */
export function healthAfter(state: Health, result: ProbeResult, now: number): Health {
  return result.kind === 'good' ? afterGood(state, now) : afterBad(state, result, now);
}

function afterGood(state: Health, now: number): Health {
  const next = { ...state, good: state.good + 1, bad: 0 };
  if (state.healthy || next.good < state.goodNeeded) return next;
  return { ...next, healthy: true, reason: null, since: now };
}

function afterBad(state: Health, result: Exclude<ProbeResult, { kind: 'good' }>, now: number): Health {
  const next = { ...state, good: 0, bad: state.bad + 1, lastFailure: describe(result) };
  const reason = reasonToGo(result, next.bad);
  if (reason === null) return next;
  const goodNeeded = reason === 'refused the connection' ? GOOD_NEEDED_AFTER_REFUSAL : GOOD_NEEDED;
  if (state.healthy) return { ...next, healthy: false, reason, since: now, goodNeeded };
  // Out already: a worse reason replaces a lesser one, never the other way round.
  const worse = goodNeeded > state.goodNeeded || reason === 'served wrong bytes' || state.reason === 'not probed yet';
  return worse ? { ...next, reason, goodNeeded } : next;
}

function reasonToGo(result: ProbeResult, bad: number): OutReason | null {
  if (result.kind === 'wrong-bytes') return 'served wrong bytes';
  if (result.kind === 'refused') return 'refused the connection';
  return bad >= FAILURES_MAX ? 'failed twice in a row' : null;
}

function describe(result: Exclude<ProbeResult, { kind: 'good' }>): string {
  if (result.kind === 'failed') return result.detail;
  return result.kind === 'refused' ? 'connection refused' : 'wrong bytes';
}
