/**
 * Some of many, each as likely as any other, while the many go by (reservoir sampling, "algorithm R": Vitter, Random
 * Sampling with a Reservoir, 1985).
 */
export class Sample<T> {
  readonly #most: number;
  readonly #random: () => number;
  readonly #kept: T[] = [];
  #seen = 0;

  /**
   * @param most how many to keep
   * @param random gives numbers from 0 (inclusive) to 1 (exclusive)
   */
  constructor(most: number, random: () => number) {
    this.#most = most;
    this.#random = random;
  }

  add(item: T): void {
    this.#seen += 1;
    const at = this.#kept.length < this.#most ? this.#kept.length : Math.floor(this.#random() * this.#seen);
    if (at < this.#most) this.#kept[at] = item;
  }

  /** How many went by. */
  get seen(): number {
    return this.#seen;
  }

  items(): readonly T[] {
    return this.#kept;
  }
}
