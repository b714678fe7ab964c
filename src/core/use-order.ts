/** Things with sizes, in the order of their last use: what to let go first when there is too much. */
export class UseOrder {
  // A Map iterates in the order of insertion: the first one is the one that was not used for the longest time.
  #sizes = new Map<string, number>();
  #bytes = 0;

  /** Sum of all sizes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds something as used last; what is known already is counted once. */
  add(key: string, size: number): void {
    this.remove(key);
    this.#sizes.set(key, size);
    this.#bytes += size;
  }

  /** Whatever is not known stays so. */
  use(key: string): void {
    const size = this.#sizes.get(key);
    if (size === undefined) return;
    this.#sizes.delete(key);
    this.#sizes.set(key, size);
  }

  remove(key: string): void {
    this.#bytes -= this.#sizes.get(key) ?? 0;
    this.#sizes.delete(key);
  }

  /** Adds what was there before everything known, the oldest first; what is known keeps its place. */
  addOlder(older: Iterable<readonly [key: string, size: number]>): void {
    const known = this.#sizes;
    this.#sizes = new Map(older);
    for (const [key, size] of known) {
      this.#sizes.delete(key);
      this.#sizes.set(key, size);
    }
    this.#bytes = this.#sizes.values().reduce((sum, size) => sum + size, 0);
  }

  /** The one not used for the longest time of those that may go; null if none may. */
  oldest(mayGo: (key: string) => boolean): string | null {
    for (const key of this.#sizes.keys()) if (mayGo(key)) return key;
    return null;
  }
}
