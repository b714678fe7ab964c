/**
 * Carrying out what the log withdraws: the tarballs go at once, and are never fetched from peers again; the entry's
 * deadline is only the latest time for it. What the log lists again may come back.
 *
 * Order: entries of the log are looked at in its order, and those that withdraw or bring something back are noted as open,
 * together with how far was looked (durable; a crash before it looks at them again); then each is carried out
 * (carry-out.ts), which may be done any number of times; then it is no longer open. What can't be carried out because
 * nobody says which bytes are meant stays open and is tried again, and once its deadline has passed this mirror says that
 * it is behind.
 */
import { looksLike, parseEntry } from '../../core/entry.ts';
import { FederationError, MalformedError, StorageFullError } from '../../core/errors.ts';
import { change, versionPrefix } from '../../core/tables.ts';
import {
  carriedOut,
  formatProgress,
  lookedAt,
  NO_PROGRESS,
  type OpenEntry,
  overdueIn,
  parseProgress,
  type WithdrawalProgress,
  withdrawalsIn,
} from '../../core/withdrawal-progress.ts';
import { createBell } from '../../io/bell.ts';
import { inParallel } from '../../io/in-parallel.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import type { Metrics } from '../../io/metrics.ts';
import type { LogFollower } from '../log/log-follower.ts';
import { type CarryOutDeps, carryOut, isListing } from './carry-out.ts';

export type Withdrawals = {
  /** Withdrawals that are not carried out yet, and those of them whose deadline has passed. */
  state(): { readonly open: number; readonly overdue: number };
  /** Resolves when it has stopped, after the signal has aborted. */
  close(): Promise<void>;
};

export type WithdrawalsDeps = CarryOutDeps & {
  readonly index: Pick<MetadataStore, 'count' | 'entries' | 'get' | 'scan' | 'write'>;
  readonly follower: Pick<LogFollower, 'size' | 'subscribe'>;
  readonly metrics: Metrics;
  /** Unix ms. */
  readonly now: () => number;
  /** Aborts when the mirror stops. */
  readonly signal: AbortSignal;
  /** Before what could not be carried out is tried again, ms: from `firstMs`, twice as long each time, up to `lastMs`. */
  readonly pauses?: Pauses;
};

export type Pauses = { readonly firstMs: number; readonly lastMs: number };

const SETTING = 'withdrawals';
const PAGE_ENTRIES = 256;
const PARALLEL = 4;
/** Then the log is looked at again. */
const AT_ONCE_MAX = 64;
const PAUSES: Pauses = { firstMs: 1_000, lastMs: 60_000 };
/** Where nothing is open, how far was looked is stored only now and then. */
const UNSTORED_MAX = 4_096;

/** Begins in the background, with what the last run left open. */
export async function startWithdrawals(deps: WithdrawalsDeps): Promise<Withdrawals> {
  const row = await deps.index.get('setting', SETTING);
  const withdrawals = new Carrier(deps, row ? parseProgress(row.value) : NO_PROGRESS);
  const running = withdrawals.run().catch((err) => {
    if (!deps.signal.aborted) deps.logger.fatal({ err }, 'withdrawals are no longer carried out; restart this server');
  });
  return { state: () => withdrawals.state(), close: () => running };
}

type Failure = { readonly tries: number; readonly againAtMs: number };

class Carrier {
  readonly #deps: WithdrawalsDeps;
  readonly #pauses: Pauses;
  readonly #failures = new Map<number, Failure>();
  readonly #told = new Set<number>();
  #progress: WithdrawalProgress;
  #stored: WithdrawalProgress;

  constructor(deps: WithdrawalsDeps, progress: WithdrawalProgress) {
    this.#deps = deps;
    this.#pauses = deps.pauses ?? PAUSES;
    this.#progress = progress;
    this.#stored = progress;
    const { metrics } = deps;
    metrics.gauge('withdrawals_open', 'Withdrawals of the log that are not carried out yet', [], (it) =>
      it.set(this.state().open),
    );
    metrics.gauge('withdrawals_overdue', 'Those of them whose deadline has passed', [], (it) =>
      it.set(this.state().overdue),
    );
  }

  state(): { open: number; overdue: number } {
    const overdue = overdueIn(this.#progress, this.#deps.now()).length;
    return { open: withdrawalsIn(this.#progress).length, overdue };
  }

  async run(): Promise<void> {
    const { follower, signal } = this.#deps;
    const bell = createBell();
    const unsubscribe = follower.subscribe(() => bell.ring());
    try {
      for (;;) {
        const seen = bell.rung();
        await this.#catchUp();
        const isMoreDue = await this.#carryOutSome();
        if (!isMoreDue && (await bell.wait(seen, this.#pauseMs(), signal)) === 'over') return;
      }
    } finally {
      unsubscribe();
    }
  }

  /** Looks at the rest of the log; what is open is stored before any of it is carried out. */
  async #catchUp(): Promise<void> {
    const { follower } = this.#deps;
    while (this.#progress.at < follower.size()) {
      await this.#look();
      if (this.#progress.at - this.#stored.at >= UNSTORED_MAX) await this.#store();
    }
    if (this.#progress.open.length > this.#stored.open.length) await this.#store();
  }

  /** At the next entries: those that matter are open from now on. */
  async #look(): Promise<void> {
    const { index, follower, signal } = this.#deps;
    signal.throwIfAborted();
    const { at } = this.#progress;
    const page = await index.entries(at, Math.min(PAGE_ENTRIES, follower.size() - at));
    const mayBeBack = (await index.count('withdrawn')) > 0;
    const open = await Promise.all(
      page.map((bytes, offset) =>
        mayBeBack || looksLike('withdraw', bytes) ? this.#openOf(bytes, at + offset) : null,
      ),
    );
    this.#progress = lookedAt(
      this.#progress,
      at + page.length,
      open.filter((one) => one !== null),
    );
  }

  async #openOf(bytes: Uint8Array, index: number): Promise<OpenEntry | null> {
    const entry = parseEntry(bytes);
    const since = this.#deps.now();
    if (entry.kind === 'withdraw') return { index, since, deadline: entry.deadline };
    const isBack = isListing(entry) && (await this.#wasWithdrawn(entry.name, index));
    return isBack ? { index, since, deadline: null } : null;
  }

  /** Whether any of a package was, before this entry. */
  async #wasWithdrawn(name: string, before: number): Promise<boolean> {
    const rows = await this.#deps.index.scan('withdrawn', versionPrefix(name));
    return rows.some(({ row }) => row.index < before);
  }

  /** What is new goes before what has failed already. @returns whether more is due */
  async #carryOutSome(): Promise<boolean> {
    const due = this.#progress.open.filter(({ index }) => this.#isDue(index));
    due.sort((a, b) => this.#triesOf(a) - this.#triesOf(b));
    const done = new Set<number>();
    await inParallel(due.slice(0, AT_ONCE_MAX), PARALLEL, async (one) => {
      if (await this.#attempt(one)) done.add(one.index);
    });
    this.#tellOverdue();
    if (done.size > 0) {
      this.#progress = carriedOut(this.#progress, done);
      await this.#store();
    }
    return due.length > AT_ONCE_MAX;
  }

  #triesOf({ index }: OpenEntry): number {
    return this.#failures.get(index)?.tries ?? 0;
  }

  #isDue(index: number): boolean {
    return (this.#failures.get(index)?.againAtMs ?? 0) <= performance.now();
  }

  /** Whether there is no more to do about it. */
  async #attempt(one: OpenEntry): Promise<boolean> {
    const { signal, logger } = this.#deps;
    signal.throwIfAborted();
    try {
      await carryOut(this.#deps, one);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof FederationError)) throw error;
      // The bytes are those that the log names, so nobody will have better ones.
      if (!(error instanceof MalformedError)) return this.#postpone(one, error);
      logger.error({ entry: one.index, reason: error.message }, 'a withdrawal names nothing that can be read');
    }
    this.#failures.delete(one.index);
    this.#told.delete(one.index);
    return true;
  }

  #postpone(one: OpenEntry, error: Error): false {
    const { index } = one;
    const tries = this.#triesOf(one) + 1;
    const { firstMs, lastMs } = this.#pauses;
    this.#failures.set(index, { tries, againAtMs: performance.now() + Math.min(firstMs * 2 ** (tries - 1), lastMs) });
    this.#deps.logger.warn({ entry: index, tries, reason: error.message }, 'a withdrawal can’t be carried out yet');
    return false;
  }

  /** Until the next one is to be tried again; null if none is. */
  #pauseMs(): number | null {
    if (this.#failures.size === 0) return null;
    let next = Number.POSITIVE_INFINITY;
    for (const { againAtMs } of this.#failures.values()) next = Math.min(next, againAtMs);
    return Math.max(1, next - performance.now());
  }

  /** Once for each. */
  #tellOverdue(): void {
    for (const one of overdueIn(this.#progress, this.#deps.now())) {
      if (this.#told.has(one.index)) continue;
      this.#told.add(one.index);
      const facts = { entry: one.index, since: one.since, tries: this.#triesOf(one) };
      this.#deps.logger.error(facts, 'a withdrawal was not carried out by its deadline');
    }
  }

  async #store(): Promise<void> {
    const value = formatProgress(this.#progress);
    try {
      await this.#deps.index.write([change('setting', SETTING, { value })]);
      this.#stored = this.#progress;
    } catch (error) {
      // The next start looks at the same entries again.
      if (!(error instanceof StorageFullError)) throw error;
    }
  }
}
