/** Small byte strings that were verified once, in memory: those used last, up to a number of bytes in all. */
export class HotBlobs {
  readonly #bytesMax: number;
  // A Map iterates in the order of insertion: the first one is the one that was not used for the longest time.
  readonly #blobs = new Map<string, Uint8Array>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get(key: string): Uint8Array | undefined {
    const bytes = this.#blobs.get(key);
    if (bytes === undefined) return undefined;
    this.#blobs.delete(key);
    this.#blobs.set(key, bytes);
    return bytes;
  }

  has(key: string): boolean {
    return this.#blobs.has(key);
  }

  set(key: string, bytes: Uint8Array): void {
    this.delete(key);
    if (bytes.length > this.#bytesMax) return;
    this.#blobs.set(key, bytes);
    this.#bytes += bytes.length;
    for (const oldest of this.#blobs.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.delete(oldest);
    }
  }

  clear(): void {
    this.#blobs.clear();
    this.#bytes = 0;
  }

  delete(key: string): void {
    const bytes = this.#blobs.get(key);
    if (bytes === undefined) return;
    this.#blobs.delete(key);
    this.#bytes -= bytes.length;
  }
}
