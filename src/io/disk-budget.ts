/**
 * Keeps a store of blobs within a number of bytes: before a blob is stored, those that were not used for the longest time
 * are removed. What is being read or written is never removed, nor what was opened or put a moment ago and is about to be
 * read. A blob that is larger than the whole budget is let through: it takes no room from the others, and goes as soon as
 * it was read or nobody is expected to.
 *
 * What lies in the store at its start is learned in the background; until then nothing is known to be too much.
 */
import { UseOrder } from '../core/use-order.ts';

/** How long a blob waits for its reader, ms: from the look at it to the first byte that is wanted. */
const AWAITED_MS = 10_000;

export type DiskBudgetOptions = {
  /** Bytes; asked each time, as others may share them. */
  readonly bytesMax: () => number;
  /** Removes the blob of this key from the disk. */
  readonly evict: (key: string) => Promise<void>;
  /** Unix ms. */
  readonly now: () => number;
};

export class DiskBudget {
  readonly #options: DiskBudgetOptions;
  readonly #order = new UseOrder();
  readonly #holds = new Map<string, number>();
  /** Until when somebody is expected to read a blob, unix ms. */
  readonly #awaited = new Map<string, number>();
  /** Too large to be kept. */
  readonly #passing = new Set<string>();
  /** Removed while the start is still learning what is there; null afterwards. */
  #removedMeanwhile: Set<string> | null = new Set();

  constructor(options: DiskBudgetOptions) {
    this.#options = options;
  }

  /** Bytes kept. */
  get bytes(): number {
    return this.#order.bytes;
  }

  /** Takes over what lay there at the start, and removes what is too much. `used`: unix ms of the last use. */
  async learn(
    stored: AsyncIterable<{ readonly key: string; readonly size: number; readonly used: number }>,
  ): Promise<void> {
    const there = (await Array.fromAsync(stored))
      .filter(({ key }) => !this.#removedMeanwhile?.has(key))
      .sort((a, b) => a.used - b.used);
    this.#removedMeanwhile = null;
    const [kept, passing] = [there.filter((one) => this.#fits(one.size)), there.filter((one) => !this.#fits(one.size))];
    this.#order.addOlder(kept.map(({ key, size }) => [key, size]));
    for (const { key } of passing) this.#passing.add(key);
    await this.trim();
  }

  used(key: string): void {
    this.#order.use(key);
  }

  /** Somebody is about to read it; `passed` says that this is over. */
  expect(key: string): void {
    this.#awaited.set(key, this.#options.now() + AWAITED_MS);
  }

  /** It has been read. */
  async passed(key: string): Promise<void> {
    this.#awaited.delete(key);
    await this.trim();
  }

  removed(key: string): void {
    this.#removedMeanwhile?.add(key);
    this.#order.remove(key);
    this.#passing.delete(key);
    this.#awaited.delete(key);
  }

  /** Keeps a blob from being removed until the returned function is called, once. */
  hold(key: string): () => void {
    this.#holds.set(key, (this.#holds.get(key) ?? 0) + 1);
    return () => this.#release(key);
  }

  /** Counts a blob that is about to be stored, and held, and removes others until it fits. */
  async admit(key: string, size: number): Promise<void> {
    this.#removedMeanwhile?.delete(key);
    if (this.#fits(size)) this.#order.add(key, size);
    else this.#passing.add(key);
    await this.trim();
  }

  /** Removes blobs until so many bytes are free, or as many as may go; false if none could go. */
  async makeRoom(bytes: number): Promise<boolean> {
    const before = this.#order.bytes;
    await this.#evictDownTo(Math.max(0, before - bytes));
    return this.#order.bytes < before;
  }

  /** Removes what is too much. */
  async trim(): Promise<void> {
    const now = this.#options.now();
    for (const [key, until] of this.#awaited) if (until <= now) this.#awaited.delete(key);
    for (const key of this.#passing) if (this.#mayGo(key)) await this.#evict(key);
    await this.#evictDownTo(this.#options.bytesMax());
  }

  #fits(size: number): boolean {
    return size <= this.#options.bytesMax();
  }

  #release(key: string): void {
    const left = (this.#holds.get(key) ?? 0) - 1;
    if (left > 0) this.#holds.set(key, left);
    else this.#holds.delete(key);
  }

  #mayGo(key: string): boolean {
    return !this.#holds.has(key) && !((this.#awaited.get(key) ?? 0) > this.#options.now());
  }

  async #evictDownTo(bytes: number): Promise<void> {
    while (this.#order.bytes > bytes) {
      const key = this.#order.oldest((one) => this.#mayGo(one));
      if (key === null) return;
      await this.#evict(key);
    }
  }

  /** Forgotten first, so that two that make room at once don't count the same blob twice. */
  #evict(key: string): Promise<void> {
    this.removed(key);
    return this.#options.evict(key);
  }
}
