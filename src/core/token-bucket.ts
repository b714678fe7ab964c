/** A token bucket per key: how often something may be done, in bursts and on average. Bounded in memory. */
export class TokenBuckets {
  readonly #buckets = new Map<string, { tokens: number; at: number }>();
  readonly #burst: number;
  readonly #perSecond: number;
  readonly #keysMax: number;

  constructor(options: { burst: number; perSecond: number; keysMax?: number }) {
    this.#burst = options.burst;
    this.#perSecond = options.perSecond;
    this.#keysMax = options.keysMax ?? 10_000;
  }

  /** Takes `cost` tokens of `key` at `now` (ms). False, and nothing taken, if there are not that many. */
  take(key: string, now: number, cost = 1): boolean {
    const tokens = this.#tokensAt(key, now);
    if (tokens < cost) return false;
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: tokens - cost, at: now });
    // The key that was used longest ago is the one most likely to be full again.
    if (this.#buckets.size > this.#keysMax) this.#buckets.delete(this.#buckets.keys().next().value as string);
    return true;
  }

  #tokensAt(key: string, now: number): number {
    const bucket = this.#buckets.get(key);
    if (!bucket) return this.#burst;
    return Math.min(this.#burst, bucket.tokens + (Math.max(0, now - bucket.at) / 1000) * this.#perSecond);
  }
}
