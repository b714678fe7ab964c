/**
 * Notices who asks for the same tarball again soon: clients don't fail over, so a second request may mean that a host
 * failed the first. All of it is a hint kept in bounded memory; when the oldest of it is dropped, a client is merely sent
 * to a host once more.
 *
 * Times are ms of one clock that never goes back.
 */

export type RepeatLimits = {
  /** For how long the same request counts as a repeat, and how long a budget of bytes lasts. */
  readonly windowMs: number;
  /** For how long a host that may have failed a network is not chosen for it. */
  readonly avoidMs: number;
  /** Bytes per client network and window that the origin serves itself because of repeats. */
  readonly bytesPerNetwork: number;
  /** Most requests, networks and avoided hosts that are remembered, each. */
  readonly entriesMax: number;
};

export const REPEAT_LIMITS: RepeatLimits = {
  windowMs: 2 * 60_000,
  avoidMs: 10 * 60_000,
  bytesPerNetwork: 1e9,
  entriesMax: 100_000,
};

export type Repeat = {
  /** The same was asked for within the window. */
  readonly repeat: boolean;
  /** The host that the last such request was sent to; null if the origin served it, or there was none. */
  readonly hostId: string | null;
};

export class RepeatWindow {
  readonly #limits: RepeatLimits;
  readonly #requests: ExpiringMap<{ hostId: string | null }>;
  readonly #spent: ExpiringMap<{ bytes: number }>;
  readonly #avoided: ExpiringMap<{ hosts: Map<string, number> }>;

  constructor(limits: Partial<RepeatLimits> = {}) {
    this.#limits = { ...REPEAT_LIMITS, ...limits };
    const { windowMs, avoidMs, entriesMax } = this.#limits;
    this.#requests = new ExpiringMap(windowMs, entriesMax);
    this.#spent = new ExpiringMap(windowMs, entriesMax);
    this.#avoided = new ExpiringMap(avoidMs, entriesMax);
  }

  /**
   * Records a request for a tarball, and says whether it repeats an earlier one.
   *
   * @param network as `networkOf` gives it
   * @param agent id of the client's row in the table of clients
   */
  seen(network: string, agent: string, sha512: string, now: number): Repeat {
    const key = keyOf(network, agent, sha512);
    const before = this.#requests.get(key, now);
    this.#requests.set(key, { hostId: null }, now);
    return { repeat: before !== undefined, hostId: before?.hostId ?? null };
  }

  /** Records which host a request just seen was sent to. */
  sent(network: string, agent: string, sha512: string, hostId: string, now: number): void {
    this.#requests.set(keyOf(network, agent, sha512), { hostId }, now);
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

  /** From now on the host is not to be chosen for this network, for a while. */
  avoid(network: string, hostId: string, now: number): void {
    const still = [...(this.#avoided.get(network, now)?.hosts ?? [])].filter(([, until]) => now < until);
    const hosts = new Map(still).set(hostId, now + this.#limits.avoidMs);
    this.#avoided.set(network, { hosts }, now);
  }

  /** Ids of the hosts that are not to be chosen for this network now. */
  avoided(network: string, now: number): ReadonlySet<string> {
    const hosts = this.#avoided.get(network, now)?.hosts ?? [];
    return new Set([...hosts].filter(([, until]) => now < until).map(([hostId]) => hostId));
  }
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

  set(key: string, value: Value, now: number): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, until: now + this.#lifeMs });
    for (const [oldest, { until }] of this.#entries) {
      if (now < until && this.#entries.size <= this.#entriesMax) break;
      this.#entries.delete(oldest);
    }
  }
}
