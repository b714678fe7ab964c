/**
 * Notices who asks for the same tarball again soon: clients don't fail over, so a second request may mean that a host
 * failed the first. All of it is a hint kept in bounded memory; when the oldest of it is dropped, a client is merely sent
 * to a host once more.
 *
 * Most repeats are innocent: npm asks once for each place in the tree, at the same time. So a host is avoided only when
 * different tarballs came back from it, late or several, and more of what it was lately sent than innocence explains.
 *
 * Times are ms of one clock that never goes back.
 */

export type RepeatLimits = {
  /** For how long the same request counts as a repeat, and how long a budget of bytes lasts. */
  readonly windowMs: number;
  /** For how long a host that may have failed a network is not chosen for it. */
  readonly avoidMs: number;
  /** Least time between two strikes against a host. */
  readonly strikeMs: number;
  /** Bytes per client network and window that the origin serves itself because of repeats. */
  readonly bytesPerNetwork: number;
  /** Most requests, networks, hosts of networks and avoided hosts that are remembered, each. */
  readonly entriesMax: number;
};

export const REPEAT_LIMITS: RepeatLimits = {
  windowMs: 2 * 60_000,
  avoidMs: 10 * 60_000,
  strikeMs: 1_000,
  bytesPerNetwork: 1e9,
  entriesMax: 100_000,
};

/** So many different tarballs must come back before a host is avoided, if they do so at once: npm asks for some twice. */
export const BACK_MIN = 3;
/**
 * From then on a repeat is a late one, of which one is enough: npm would find the tarball in its cache by now, so it is
 * another run, after one that failed. A run of npm can fail on its first tarball, before it asks for any other.
 */
export const LATE_MS = 300;
/**
 * In either case they must be this share of what was sent to the host lately. Of an undisturbed install of 350 packages npm asks for
 * one in a hundred again, all near the end. Of a host that lies, nearly all come back; after one broken connection, on which
 * npm gives up, the 15 that it was waiting for.
 */
export const BACK_SHARE_MIN = 1 / 10;
/**
 * A client that does not check first (core/clients.ts) asks again as soon as bytes turned out wrong, and unpacks the answer over
 * files that it may still be writing: on a busy machine the wrong ones won in one install of five, and npm said that all went
 * well. So a repeat that comes this soon after it was sent to a host has to wait a little. Measured with waits of 300 ms and more: in
 * none of 108.
 */
export const HASTE_MS = 3_000;
export const HASTE_WAIT_MS = 400;
/** Lately: the last 64 to 128 within one window. Of more, those 15 would be too small a share. */
const SENT_PER_COHORT = 64;

export type Repeat = {
  /** The same was asked for within the window. */
  readonly repeat: boolean;
  /** The host that the last such request was sent to; null if the origin served it, or there was none. */
  readonly hostId: string | null;
  /** For how many ms to keep a client waiting that does not check first. */
  readonly waitMs: number;
  /** The host is avoided for this network from now on, and was not before. */
  readonly doubted: boolean;
};

/** Tarballs that a network was sent to one host for, one after the other, and which of them were asked for again. */
type Cohort = { sent: number; readonly back: Set<string>; late: boolean };
type Cohorts = { readonly last: Cohort; readonly before: Cohort };
type Sending = { readonly hostId: string; readonly cohort: Cohort; readonly at: number };
type Request = { readonly to: Sending | null };

export class RepeatWindow {
  readonly #limits: RepeatLimits;
  readonly #requests: ExpiringMap<Request>;
  readonly #cohorts: ExpiringMap<Cohorts>;
  readonly #spent: ExpiringMap<{ bytes: number }>;
  readonly #avoided: ExpiringMap<{ hosts: Map<string, number> }>;
  readonly #struck: ExpiringMap<true>;

  constructor(limits: Partial<RepeatLimits> = {}) {
    this.#limits = { ...REPEAT_LIMITS, ...limits };
    const { windowMs, avoidMs, strikeMs, entriesMax } = this.#limits;
    this.#requests = new ExpiringMap(windowMs, entriesMax);
    this.#cohorts = new ExpiringMap(windowMs, entriesMax);
    this.#spent = new ExpiringMap(windowMs, entriesMax);
    this.#avoided = new ExpiringMap(avoidMs, entriesMax);
    this.#struck = new ExpiringMap(strikeMs, entriesMax);
  }

  /**
   * Records a request for a tarball, and says whether it repeats an earlier one. The host that failed it may be one to
   * avoid from now on.
   *
   * @param network as `networkOf` gives it
   * @param agent id of the client's row in the table of clients
   */
  seen(network: string, agent: string, sha512: string, now: number): Repeat {
    const key = keyOf(network, agent, sha512);
    const before = this.#requests.get(key, now);
    this.#requests.set(key, FROM_ORIGIN, now);
    const to = before?.to ?? null;
    const doubted = to !== null && this.#cameBack(network, sha512, to, now);
    const waitMs = to !== null && now - to.at < HASTE_MS ? HASTE_WAIT_MS : 0;
    return { repeat: before !== undefined, hostId: to?.hostId ?? null, waitMs, doubted };
  }

  /** Records which host a request just seen was sent to. */
  sent(network: string, agent: string, sha512: string, hostId: string, now: number): void {
    const cohort = this.#openCohort(network, hostId, now);
    cohort.sent += 1;
    this.#requests.set(keyOf(network, agent, sha512), { to: { hostId, cohort, at: now } }, now);
  }

  /** Takes bytes off the network's budget for this window; false, and nothing taken, if there isn't enough left. */
  spend(network: string, bytes: number, now: number): boolean {
    const spent = this.#spent.get(network, now) ?? { bytes: 0 };
    if (spent.bytes + bytes > this.#limits.bytesPerNetwork) return false;
    // The window runs from the first byte spent in it; later ones must not prolong it.
    if (spent.bytes === 0) this.#spent.set(network, spent, now);
    spent.bytes += bytes;
    return true;
  }

  /** Whether it is time to look at a host because of a repeat; then not again at once, however many repeat. */
  strikes(hostId: string, now: number): boolean {
    if (this.#struck.get(hostId, now)) return false;
    this.#struck.set(hostId, true, now);
    return true;
  }

  /** From now on the host is not to be chosen for this network, for a while. */
  avoid(network: string, hostId: string, now: number): void {
    const still = [...(this.#avoided.get(network, now)?.hosts ?? [])].filter(([, until]) => now < until);
    const hosts = new Map(still).set(hostId, now + this.#limits.avoidMs);
    this.#avoided.set(network, { hosts }, now);
  }

  /** Ids of the hosts that are not to be chosen for this network now. */
  avoided(network: string, now: number): ReadonlySet<string> {
    const hosts = this.#avoided.get(network, now)?.hosts;
    if (!hosts) return NONE;
    return new Set([...hosts].filter(([, until]) => now < until).map(([hostId]) => hostId));
  }

  /** How many networks avoid a host now, by its id. */
  avoidedBy(now: number): ReadonlyMap<string, number> {
    const networks = new Map<string, number>();
    for (const network of this.#avoided.keys()) {
      for (const hostId of this.avoided(network, now)) networks.set(hostId, (networks.get(hostId) ?? 0) + 1);
    }
    return networks;
  }

  /** What comes back counts among what was sent along with it. Whether the host is avoided from now on, and was not before. */
  #cameBack(network: string, sha512: string, { hostId, cohort, at }: Sending, now: number): boolean {
    cohort.back.add(sha512);
    if (now - at >= LATE_MS) cohort.late = true;
    const cohorts = this.#cohorts.get(`${network} ${hostId}`, now);
    if (!cohorts || !isSuspect(cohorts)) return false;
    const isNews = !this.avoided(network, now).has(hostId);
    this.avoid(network, hostId, now);
    return isNews;
  }

  #openCohort(network: string, hostId: string, now: number): Cohort {
    const key = `${network} ${hostId}`;
    const known = this.#cohorts.get(key, now);
    if (known && known.last.sent < SENT_PER_COHORT) return known.last;
    const last = newCohort();
    this.#cohorts.set(key, { last, before: known?.last ?? newCohort() }, now);
    return last;
  }
}

const NONE: ReadonlySet<string> = new Set();
const FROM_ORIGIN: Request = { to: null };

const newCohort = (): Cohort => ({ sent: 0, back: new Set(), late: false });

function isSuspect({ last, before }: Cohorts): boolean {
  const back = last.back.union(before.back).size;
  const isSign = back >= BACK_MIN || last.late || before.late;
  return isSign && back >= (last.sent + before.sent) * BACK_SHARE_MIN;
}

function keyOf(network: string, agent: string, sha512: string): string {
  return `${network} ${agent} ${sha512}`;
}

/** Entries that last so long after they were set, and no more of them than so many: the oldest go first. */
class ExpiringMap<Value> {
  readonly #lifeMs: number;
  readonly #entriesMax: number;
  // In the order of setting, so the oldest is always at the front.
  readonly #entries = new Map<string, { value: Value; until: number }>();

  constructor(lifeMs: number, entriesMax: number) {
    this.#lifeMs = lifeMs;
    this.#entriesMax = entriesMax;
  }

  get(key: string, now: number): Value | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && now < entry.until ? entry.value : undefined;
  }

  keys(): Iterable<string> {
    return this.#entries.keys();
  }

  set(key: string, value: Value, now: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: now + this.#lifeMs });
    for (const [oldest, { until }] of this.#entries) {
      if (now < until && this.#entries.size <= this.#entriesMax) break;
      this.#entries.delete(oldest);
    }
  }
}
