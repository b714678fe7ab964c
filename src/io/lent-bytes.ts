/**
 * Blobs in memory that answers are being sent from. A client may take minutes over one, and all of it stays until then,
 * however small the cache that it came from.
 */
export class LentBytes {
  readonly #bytesMax: number;
  readonly #lent = new Map<string, { readonly size: number; answers: number }>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * Counts a blob, once however many answers it is sent in.
   *
   * @returns to be called once when the answer is through; null if there is no room: it must be streamed then
   */
  lend(key: string, size: number): (() => void) | null {
    const lent = this.#lent.get(key) ?? { size, answers: 0 };
    if (lent.answers === 0 && this.#bytes + size > this.#bytesMax) return null;
    if (lent.answers === 0) this.#bytes += size;
    lent.answers += 1;
    this.#lent.set(key, lent);
    return () => this.#takeBack(key, lent);
  }

  #takeBack(key: string, lent: { readonly size: number; answers: number }): void {
    lent.answers -= 1;
    if (lent.answers > 0) return;
    this.#lent.delete(key);
    this.#bytes -= lent.size;
  }
}
