/**
 * One disk budget for several stores: some have a share of their own (core/disk-shares.ts), tarballs get what those leave
 * at the time.
 */
import { type DiskShares, sharesOf } from '../core/disk-shares.ts';

export class SharedBudget {
  readonly bytesMax: number;
  readonly shares: DiskShares;
  readonly #takers: (() => number)[] = [];
  readonly #yielders: (() => Promise<void>)[] = [];

  /** @param bytesMax bytes of disk in all */
  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
    this.shares = sharesOf(bytesMax);
  }

  /** @param bytes what one with a share takes by now */
  addTaker(bytes: () => number): void {
    this.#takers.push(bytes);
  }

  /** @param trim makes one that gets the rest keep within it */
  addYielder(trim: () => Promise<void>): void {
    this.#yielders.push(trim);
  }

  /** Bytes for whoever has no share of its own. */
  left(): number {
    return Math.max(0, this.bytesMax - this.#takers.reduce((sum, bytes) => sum + bytes(), 0));
  }

  /** To be called by one that takes more than before. */
  async grown(): Promise<void> {
    await Promise.all(this.#yielders.map((trim) => trim()));
  }
}
