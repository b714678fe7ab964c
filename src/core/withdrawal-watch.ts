/**
 * What an origin expects of its hosts about withdrawals. A host has a withdrawal's deadline to take in the log up to it, and
 * the deadline again, from when it showed that it had, to drop the bytes. Times are unix ms of one clock that never goes back.
 */

/** A `withdraw` entry, and some of the tarballs that it takes away. */
export type WatchedWithdrawal = {
  /** Its place in the log, from 0. */
  readonly index: number;
  /** The entry's time. */
  readonly time: number;
  /** Seconds. */
  readonly deadline: number;
  readonly tarballs: readonly WithdrawnTarball[];
};

/** `subject`: `name@version`. */
export type WithdrawnTarball = { readonly sha512: string; readonly subject: string };

/** So many of the latest withdrawals are asked for. */
const RECENT_MAX = 64;

export class WithdrawalWatch {
  /** Not yet due, in the log's order. */
  #pending: WatchedWithdrawal[] = [];
  #recent: WatchedWithdrawal[] = [];
  /** By index of a recent one: when each host showed that it holds it. */
  readonly #heldSince = new Map<number, Map<string, number>>();
  #mustHold = 0;
  #nextDue = Number.POSITIVE_INFINITY;

  /** To be told of each in the log's order. */
  note(withdrawal: WatchedWithdrawal): void {
    this.#pending.push(withdrawal);
    this.#nextDue = Math.min(this.#nextDue, dueAt(withdrawal, withdrawal.time));
    this.#recent.push(withdrawal);
    this.#heldSince.set(withdrawal.index, new Map());
    const forgotten = this.#recent.length > RECENT_MAX ? this.#recent.shift() : undefined;
    if (forgotten) this.#heldSince.delete(forgotten.index);
  }

  /** What to tell a new watch, in this order, so that it knows as much. */
  recent(): readonly WatchedWithdrawal[] {
    return this.#recent;
  }

  /** A host holds so many entries of the log. */
  held(hostId: string, size: number, now: number): void {
    for (const { index } of this.#recent) {
      const hosts = this.#heldSince.get(index);
      if (index < size && !hosts?.has(hostId)) hosts?.set(hostId, now);
    }
  }

  /** Entries that every host must hold by now. */
  mustHold(now: number): number {
    if (now >= this.#nextDue) this.#takeDue(now);
    return this.#mustHold;
  }

  /** When `mustHold` may become more; Infinity while nothing is pending. */
  nextDue(): number {
    return this.#nextDue;
  }

  /** Tarballs that a host must have dropped by now. */
  dropped(hostId: string, now: number): WithdrawnTarball[] {
    return this.#recent.filter((one) => this.#isDroppedBy(hostId, one, now)).flatMap(({ tarballs }) => tarballs);
  }

  #takeDue(now: number): void {
    const due = this.#pending.filter((one) => dueAt(one, one.time) <= now);
    this.#pending = this.#pending.filter((one) => dueAt(one, one.time) > now);
    this.#mustHold = due.reduce((size, { index }) => Math.max(size, index + 1), this.#mustHold);
    this.#nextDue = this.#pending.reduce((next, one) => Math.min(next, dueAt(one, one.time)), Number.POSITIVE_INFINITY);
  }

  #isDroppedBy(hostId: string, withdrawal: WatchedWithdrawal, now: number): boolean {
    const since = this.#heldSince.get(withdrawal.index)?.get(hostId);
    return since !== undefined && dueAt(withdrawal, since) < now;
  }
}

function dueAt({ deadline }: WatchedWithdrawal, since: number): number {
  return since + deadline * 1_000;
}
