/**
 * Carrying out what the log withdraws: the tarballs go at once, and are never fetched from peers again; the entry's
 * deadline is only the latest time for it. What the log lists again may come back.
 *
 * Order: entries of the log are looked at in its order, and those that withdraw or bring something back are noted as open,
 * together with how far was looked (durable; a crash before it looks at them again); then each is carried out
 * (tombstones.ts), which may be done any number of times; then it is no longer open. What can't be carried out because
 * nobody says which bytes are meant stays open and is tried again, and once its deadline has passed this mirror says that
 * it is behind.
 */
import { type Entry, parseEntry } from '../core/entry.ts';
import { FederationError, MalformedError, StorageFullError } from '../core/errors.ts';
import { change, type TombstoneRow, versionKey, versionPrefix, type WithdrawnRow } from '../core/tables.ts';
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
} from '../core/withdrawal-progress.ts';
import { createBell } from '../io/bell.ts';
import type { BlobStore } from '../io/blob-store.ts';
import { inParallel } from '../io/in-parallel.ts';
import type { Logger } from '../io/logger.ts';
import type { MetadataStore } from '../io/metadata-store.ts';
import type { Metrics } from '../io/metrics.ts';
import type { LogFollower } from './log-follower.ts';
import type { PinnedHere } from './pinned-here.ts';
import type { Tombstones } from './tombstones.ts';
import type { ListingsByHash, WithdrawnContent } from './withdrawn-content.ts';

export type Withdrawals = {
  /** Withdrawals that are not carried out yet, and those of them whose deadline has passed. */
  state(): { readonly open: number; readonly overdue: number };
  /** Resolves when it has stopped, after the signal has aborted. */
  close(): Promise<void>;
};

export type WithdrawalsDeps = {
  readonly index: Pick<MetadataStore, 'entries' | 'get' | 'scan' | 'write'>;
  readonly blobs: Pick<BlobStore, 'has'>;
  readonly tombstones: Tombstones;
  readonly content: WithdrawnContent;
  /** Null for a mirror that keeps no packages. */
  readonly pinnedHere: PinnedHere | null;
  readonly follower: Pick<LogFollower, 'size' | 'subscribe'>;
  readonly logger: Logger;
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

type Withdraw = Extract<Entry, { kind: 'withdraw' }>;
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
    const open = await Promise.all(page.map((bytes, offset) => this.#openOf(parseEntry(bytes), at + offset)));
    this.#progress = lookedAt(
      this.#progress,
      at + page.length,
      open.filter((one) => one !== null),
    );
  }

  async #openOf(entry: Entry, index: number): Promise<OpenEntry | null> {
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
      await this.#carryOut(one);
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
    const next = Math.min(...[...this.#failures.values()].map(({ againAtMs }) => againAtMs));
    return Math.max(1, next - performance.now());
  }

  async #carryOut(one: OpenEntry): Promise<void> {
    const [bytes] = await this.#deps.index.entries(one.index, 1);
    const entry = parseEntry(bytes as Uint8Array);
    if (entry.kind === 'withdraw') await this.#withdraw(entry, one);
    else if (isListing(entry)) await this.#bringBack(entry.name);
  }

  async #withdraw(entry: Withdraw, one: OpenEntry): Promise<void> {
    const { index, content, tombstones, logger } = this.#deps;
    const { name, version } = entry;
    const row = await index.get('withdrawn', versionKey(name, version));
    // A later entry about the same says all that this one does.
    if (row === null || row.index !== one.index) return;
    const meant = await content.meant(name, version, row);
    const kept = await this.#keptAmong(name, meant, one);
    const removed = await tombstones.bury(tombstonesFor(name, meant, kept, row, one));
    logger.info({ name, version, reason: row.reason, tarballs: meant.size - kept.size, removed }, 'withdrawn');
  }

  /** Bytes that another version has as well, of this package or one that is kept here, and that is not withdrawn. */
  async #keptAmong(name: string, meant: ListingsByHash, one: OpenEntry): Promise<ReadonlySet<string>> {
    const { blobs, pinnedHere } = this.#deps;
    const listed = await this.#listedOrOverdue(name, one);
    const kept = new Set([...meant.keys()].filter((sha512) => listed.has(sha512)));
    const held = new Set<string>();
    for (const hex of meant.keys()) {
      if (pinnedHere && !kept.has(hex) && (await blobs.has({ algorithm: 'sha512', hex }))) held.add(hex);
    }
    return pinnedHere ? kept.union(await pinnedHere(held)) : kept;
  }

  /** Past its deadline a withdrawal waits for nobody: what is removed too much can be fetched again. */
  async #listedOrOverdue(name: string, one: OpenEntry): Promise<ListingsByHash> {
    const { content, now } = this.#deps;
    try {
      return await content.listed(name);
    } catch (error) {
      if (!(error instanceof FederationError) || overdueIn({ at: 0, open: [one] }, now()).length === 0) throw error;
      return new Map();
    }
  }

  async #bringBack(name: string): Promise<void> {
    const { content, tombstones } = this.#deps;
    for (const [sha512, listing] of await content.listed(name)) await tombstones.lift(sha512, listing);
  }

  /** Once for each. */
  #tellOverdue(): void {
    for (const { index, since } of overdueIn(this.#progress, this.#deps.now())) {
      if (this.#told.has(index)) continue;
      this.#told.add(index);
      const reason = this.#failures.get(index)?.tries ?? 0;
      this.#deps.logger.error(
        { entry: index, since, tries: reason },
        'a withdrawal was not carried out by its deadline',
      );
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

function isListing(entry: Entry): entry is Extract<Entry, { kind: 'learned' | 'learned-version' | 'repin' }> {
  return entry.kind === 'learned' || entry.kind === 'learned-version' || entry.kind === 'repin';
}

function tombstonesFor(
  name: string,
  meant: ListingsByHash,
  kept: ReadonlySet<string>,
  { reason, deadline }: WithdrawnRow,
  { since }: OpenEntry,
): Map<string, TombstoneRow> {
  const gone = [...meant].filter(([sha512]) => !kept.has(sha512));
  return new Map(gone.map(([sha512, { version }]) => [sha512, { name, version, reason, since, deadline }]));
}
