/** A blob that is being received, read along by everybody who waits for it, as far as its bytes may leave. */
import type { ByteRange } from './blob-store.ts';
import type { GrowingBlob } from './growing-blob.ts';

/** How much is read at once. */
const PART_BYTES = 256 * 1024;

export class ReadAlong {
  readonly #growing: GrowingBlob;
  #published = 0;
  #end: { readonly failure: unknown } | null = null;
  #changed = Promise.withResolvers<void>();

  constructor(growing: GrowingBlob) {
    this.#growing = growing;
  }

  /** From now on the bytes before `upTo` may leave. */
  publish(upTo: number): void {
    if (upTo <= this.#published) return;
    this.#published = upTo;
    this.#wake();
  }

  /** No more may leave than was published; whoever waits for more is told why. */
  end(failure: unknown): void {
    this.#end = { failure };
    this.#wake();
  }

  /** Keeps the bytes readable until `release`; false if it is too late for that, and the store has them or nobody. */
  hold(): boolean {
    return this.#growing.hold();
  }

  release(): Promise<void> {
    return this.#growing.release();
  }

  /**
   * The bytes of a range, as soon as they may leave. Only for those who hold it.
   * @throws what `end` was told, before a byte that may not leave
   */
  async *read({ start, end }: ByteRange): AsyncGenerator<Uint8Array> {
    for (let at = start; at < end; ) {
      while (this.#published <= at && this.#end === null) await this.#changed.promise;
      if (this.#published <= at) throw this.#end?.failure;
      const bytes = await this.#growing.read(at, Math.min(this.#published, end, at + PART_BYTES));
      at += bytes.length;
      yield bytes;
    }
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers();
    resolve();
  }
}
