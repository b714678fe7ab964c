/**
 * What a mirror keeps of packages, within its share of the disk budget: before a package is stored, those that were not
 * used for the longest time are let go. They come again by hash when somebody asks for them.
 *
 * A head goes with all that only it is made of, so what stays can be assembled with the outside away. Order: it is
 * forgotten that the name has this head; then the head is removed with its parts, in one transaction (commit point). A
 * crash before it leaves a head that is held, and found to be so by the next who asks; a crash after it leaves nothing.
 *
 * Whoever serves a package holds it meanwhile (`during`); who comes while it is going waits until it has gone. Uses are
 * noted in memory, and on the disk before anything is let go, and now and then: a crash costs some of the order, and no
 * request costs a write.
 */
import { chooseToLetGo } from '../../core/let-go.ts';
import { change } from '../../core/tables.ts';
import type { Logger } from '../../io/logger.ts';
import type { Metrics } from '../../io/metrics.ts';
import { Serial } from '../../io/serial.ts';
import type { SharedBudget } from '../../io/shared-budget.ts';
import type { HeadParts, KeptHead } from '../../io/sqlite-package-store.ts';
import type { DoorStores } from '../../io/stores.ts';

export type KeptPackages = {
  /** Runs a task that reads from a package: it stays for so long, and counts as used. */
  during<T>(name: string, task: () => Promise<T>): Promise<T>;
  /** Stores a head with blobs that it is made of; the others are there. @throws as `HeadRecords.put` does */
  put(head: HeadParts, blobs: readonly Uint8Array[]): Promise<void>;
  /** Whether more would soon push out what is kept. */
  isFull(): boolean;
  /** Resolves when what was under way has ended and the uses are noted. */
  close(): Promise<void>;
};

/** Steps between which a test may stop the process. */
export type LetGoStep = 'packages:forgotten' | 'packages:removed';

export type KeptPackagesDeps = {
  readonly stores: Pick<DoorStores, 'metadata' | 'heads'>;
  /** Null: no bound. */
  readonly budget: SharedBudget | null;
  /** Told of each head that goes. */
  readonly forget: (hash: string) => void;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Unix ms. */
  readonly now: () => number;
  readonly step?: ((name: LetGoStep) => void) | undefined;
};

/** Looked at, and let go, at once. */
const HEADS_AT_ONCE = 200;
/** Between two writes of the uses, ms. */
const NOTED_MS = 10 * 60_000;
/** Beyond this part of the share it counts as full. */
const FULL_PART = 0.95;

/** Begins, in the background, with letting go what is too much for a budget that was lowered. */
export function createKeptPackages(deps: KeptPackagesDeps): KeptPackages {
  return new PackageKeeper(deps);
}

class PackageKeeper implements KeptPackages {
  readonly #deps: KeptPackagesDeps;
  readonly #bytesMax: number | null;
  readonly #turns = new Serial();
  readonly #held = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #uses = new Map<string, number>();
  #going: ReadonlySet<string> = new Set();
  #gone: Promise<void> = Promise.resolve();

  constructor(deps: KeptPackagesDeps) {
    const { stores, budget, metrics } = deps;
    this.#deps = deps;
    this.#bytesMax = budget?.shares.packages ?? null;
    metrics.gauge('packages_bytes', 'Disk that is taken by what packages are made of', [], (it) =>
      it.set(stores.heads.space().file),
    );
    this.#timer = setInterval(() => void this.#inBackground(() => this.#noteUses()), NOTED_MS).unref();
    void this.#inBackground(() => this.#keepWithin(0));
  }

  async during<T>(name: string, task: () => Promise<T>): Promise<T> {
    while (this.#going.has(name)) await this.#gone;
    this.#held.set(name, (this.#held.get(name) ?? 0) + 1);
    if (this.#bytesMax !== null) this.#uses.set(name, this.#deps.now());
    try {
      return await task();
    } finally {
      const left = (this.#held.get(name) ?? 0) - 1;
      if (left > 0) this.#held.set(name, left);
      else this.#held.delete(name);
    }
  }

  put(head: HeadParts, blobs: readonly Uint8Array[]): Promise<void> {
    const { stores, budget, now } = this.#deps;
    const incoming = blobs.reduce((sum, { length }) => sum + length, 0);
    return this.during(head.name, () =>
      this.#turns.run(async () => {
        await this.#keepWithin(incoming);
        await stores.heads.put(head, blobs, now());
        // How much it takes in pages shows only now.
        await this.#keepWithin(0);
        await budget?.grown();
      }),
    );
  }

  isFull(): boolean {
    return this.#bytesMax !== null && this.#deps.stores.heads.space().used > this.#bytesMax * FULL_PART;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#inBackground(() => this.#noteUses());
  }

  async #keepWithin(incoming: number): Promise<void> {
    if (this.#bytesMax === null) return;
    const { heads } = this.#deps.stores;
    while (heads.space().used + incoming > this.#bytesMax) {
      await this.#noteUses();
      const going = this.#choose(incoming, this.#bytesMax);
      if (going.length === 0) break;
      await this.#letGo(going);
    }
    await heads.shrink(this.#bytesMax);
  }

  #choose(incoming: number, bytesMax: number): KeptHead[] {
    const { heads } = this.#deps.stores;
    // What was used since the uses were noted is the newest of all.
    const busy = new Set([...this.#held.keys(), ...this.#uses.keys()]);
    const oldestFirst = heads.oldest(HEADS_AT_ONCE, bytesMax, busy);
    const { used } = heads.space();
    return chooseToLetGo(oldestFirst, { used, incoming, bytesMax }, ({ name }) => !busy.has(name));
  }

  /** To be called in the same turn in which they were chosen, so that nobody has begun to use them. */
  async #letGo(going: readonly KeptHead[]): Promise<void> {
    const { stores, forget, metrics, logger, step } = this.#deps;
    const gone = Promise.withResolvers<void>();
    this.#going = new Set(going.map(({ name }) => name));
    this.#gone = gone.promise;
    try {
      await this.#forgetFollowed(going);
      step?.('packages:forgotten');
      await stores.heads.drop(going.map(({ hash }) => hash));
      step?.('packages:removed');
      for (const { hash } of going) forget(hash);
      metrics.counter('packages_let_go_total', 'Heads let go to keep the disk budget').inc(going.length);
      logger.debug({ packages: going.map(({ name }) => name) }, 'let go to keep the disk budget');
    } finally {
      this.#going = new Set();
      gone.resolve();
    }
  }

  /** A name may have a newer head, which stays. */
  async #forgetFollowed(going: readonly KeptHead[]): Promise<void> {
    const { metadata } = this.#deps.stores;
    const rows = await Promise.all(going.map(({ name }) => metadata.get('followed', name)));
    const gone = going.filter(({ hash }, at) => rows[at]?.head === hash);
    if (gone.length > 0) await metadata.write(gone.map(({ name }) => change('followed', name, null)));
  }

  async #noteUses(): Promise<void> {
    const uses = this.#uses;
    this.#uses = new Map();
    try {
      await this.#deps.stores.heads.use(uses);
    } catch (error) {
      this.#uses = new Map([...uses, ...this.#uses]);
      throw error;
    }
  }

  async #inBackground(task: () => Promise<void>): Promise<void> {
    await this.#turns
      .run(task)
      .catch((err) => this.#deps.logger.warn({ err }, 'what is kept of packages could not be looked after'));
  }
}
