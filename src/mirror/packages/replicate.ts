/**
 * Fetching ahead: packages whose names match, with all their tarballs, in the order of the log, so that they are here
 * before anybody asks.
 *
 * How far it has come is durable, so a restart goes on from there. A page of the log is done with when all of it is held or
 * given up; what is given up is still fetched when somebody asks for it. Where the disk budget is used up it stops and
 * says so: going on would only push out what was fetched before.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { tarballUrlAt } from '../../core/assembly.ts';
import { type Entry, parseEntry } from '../../core/entry.ts';
import { FederationError, StorageFullError, UpstreamError } from '../../core/errors.ts';
import type { VersionEntry } from '../../core/head.ts';
import { formatPinned, type PinnedHash } from '../../core/integrity.ts';
import { namePattern } from '../../core/package-name.ts';
import { change, versionKey } from '../../core/tables.ts';
import { createBell } from '../../io/bell.ts';
import type { BlobStore } from '../../io/blob-store.ts';
import { createGate } from '../../io/gate.ts';
import type { Logger } from '../../io/logger.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import type { Metrics } from '../../io/metrics.ts';
import type { SharedBudget } from '../../io/shared-budget.ts';
import type { BlobFetcher } from '../blobs/fetch-blob.ts';
import type { Tombstones } from '../blobs/tombstones.ts';
import type { LogFollower } from '../log/log-follower.ts';
import type { Packages } from './open-packages.ts';
import { createPackageContents, type PackageContent } from './package-contents.ts';

export type ReplicationDeps = {
  /** Names or patterns of them; `*` for all. */
  readonly patterns: readonly string[];
  readonly index: MetadataStore;
  readonly packages: Pick<Packages, 'stores' | 'heads' | 'kept'>;
  readonly fetcher: Pick<BlobFetcher, 'join'>;
  readonly tarballs: BlobStore;
  readonly tombstones: Pick<Tombstones, 'lift'>;
  /** Base URLs that tarballs are fetched from, in order. */
  readonly sources: readonly string[];
  /** Base URL of the registry that they are fetched from where none of these gives them; null for none. */
  readonly upstream: string | null;
  readonly follower: Pick<LogFollower, 'size' | 'sources' | 'subscribe'>;
  /** Bytes that tarballs take by now. */
  readonly stored: () => number;
  /** The disk budget; null for none. */
  readonly budget: SharedBudget | null;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Aborts when the mirror stops. */
  readonly signal: AbortSignal;
  /** Between attempts, ms; after the last one what could not be had is given up. */
  readonly pausesMs: readonly number[];
};

/** Where it stands: the next entry of the log to look at, for these patterns. */
type Position = { readonly patterns: readonly string[]; readonly at: number };
type Learned = Extract<Entry, { kind: 'learned' }>;

const SETTING = 'replicated';
const PAGE_ENTRIES = 256;
/** Packages, and tarballs, at the same time: clients come first. */
const PARALLEL = 4;
export const REPLICATION_PAUSES_MS: readonly number[] = [1_000, 10_000, 60_000];
/** Beyond this part of the budget each tarball would push out another one. */
const BUDGET_PART = 0.95;

/** Begins in the background. `close` waits until it has stopped. */
export function startReplication(deps: ReplicationDeps): { close(): Promise<void> } {
  const stopping = new AbortController();
  const signal = AbortSignal.any([deps.signal, stopping.signal]);
  const running = new Replication({ ...deps, signal }).run().catch((err) => {
    if (!signal.aborted) deps.logger.error({ err }, 'fetching ahead has stopped; restart this server');
  });
  const close = async (): Promise<void> => {
    stopping.abort(new Error('the mirror is stopping'));
    await running;
  };
  return { close };
}

class Replication {
  readonly #deps: ReplicationDeps;
  readonly #matches: (name: string) => boolean;
  readonly #packages = createGate(PARALLEL);
  readonly #tarballs = createGate(PARALLEL);
  #at = 0;

  constructor(deps: ReplicationDeps) {
    this.#deps = deps;
    const patterns = deps.patterns.map(namePattern);
    this.#matches = (name) => patterns.some((matches) => matches(name));
    const { metrics } = deps;
    metrics.gauge('replicated_entries', 'Entries of the log whose packages were fetched ahead', [], (it) =>
      it.set(this.#at),
    );
  }

  async run(): Promise<void> {
    const { follower, signal } = this.#deps;
    this.#at = await this.#storedPosition();
    const bell = createBell();
    const unsubscribe = follower.subscribe(() => bell.ring());
    try {
      for (let seen = 0; ; seen = bell.rung()) {
        while (this.#at < follower.size()) await this.#page();
        if ((await bell.wait(seen, null, signal)) === 'over') return;
      }
    } finally {
      unsubscribe();
    }
  }

  async #page(): Promise<void> {
    const { index, follower } = this.#deps;
    const entries = await index.entries(this.#at, Math.min(PAGE_ENTRIES, follower.size() - this.#at));
    const learned = entries.map(parseEntry).filter((entry) => entry.kind === 'learned');
    const wanted = learned.filter(({ name }) => this.#matches(name));
    await Promise.all(wanted.map((entry) => this.#packages(() => this.#patiently(entry))));
    await this.#move(this.#at + entries.length);
  }

  /** Tries again after a while, then gives up. */
  async #patiently(entry: Learned): Promise<void> {
    const { logger, signal, metrics, pausesMs } = this.#deps;
    for (let attempt = 0; ; ) {
      const failure = await this.#package(entry).catch((error: unknown) => error);
      if (!failure) return;
      signal.throwIfAborted();
      if (!(failure instanceof FederationError)) throw failure;
      if (failure instanceof StorageFullError) return this.#stop(failure.message);
      if (attempt === pausesMs.length) {
        metrics.counter('replication_given_up_total', 'Packages that could not be fetched ahead').inc();
        logger.warn({ name: entry.name, reason: failure.message }, 'a package could not be fetched ahead');
        return;
      }
      await sleep(pausesMs[attempt], undefined, { signal });
      // While the origin is away that something can't be had says nothing of it.
      if (!this.#isOriginAway()) attempt += 1;
    }
  }

  #isOriginAway(): boolean {
    return this.#deps.follower.sources().origin === 'away';
  }

  /** All of a package as its newest head has it; nothing if a later entry names another one. */
  async #package({ name, head }: Learned): Promise<void> {
    const { index, packages } = this.#deps;
    const row = await index.get('name', name);
    if (row?.head !== head) return;
    const { entries } = await packages.kept.during(name, () => this.#held(name, head));
    const failed = (
      await Promise.all(
        [...entries.values()].map((version) => this.#tarballs(() => this.#version(name, row.index, version))),
      )
    ).filter((isThere) => !isThere).length;
    if (failed > 0) throw new UpstreamError({ what: name, reason: `${failed} of its tarballs could not be had` });
  }

  async #held(name: string, head: string): Promise<PackageContent> {
    const { stores, heads } = this.#deps.packages;
    if (!stores.heads.has(head)) {
      this.#mustHaveRoom();
      await heads.fetch(name, head);
    }
    // Not into the memory of those that clients ask for.
    return createPackageContents(stores).load(head);
  }

  /** Whether the tarball is held, or is none that can be had by its hash. */
  async #version(name: string, listedAt: number, { version, pinned, file }: VersionEntry): Promise<boolean> {
    const { index, tarballs, tombstones, fetcher, sources, upstream, signal } = this.#deps;
    signal.throwIfAborted();
    const gone = await index.get('withdrawn', versionKey(name, version));
    const hex = await this.#sha512Of(pinned);
    if (hex === null || (gone && gone.index > listedAt)) return true;
    const id = { algorithm: 'sha512', hex } as const;
    if (await tarballs.has(id)) return true;
    await tombstones.lift(hex, { name, version, index: listedAt });
    this.#mustHaveRoom();
    const lastly = upstream === null ? [] : [tarballUrlAt(upstream, name, file)];
    await fetcher.join(id, [...sources, ...lastly])?.landed;
    return tarballs.has(id);
  }

  /** A tarball with a weaker pin has a sha512 since it was measured; before that it comes when somebody asks for it. */
  async #sha512Of(pinned: PinnedHash): Promise<string | null> {
    if (pinned.algorithm === 'sha512') return pinned.hex;
    return (await this.#deps.index.get('measured', formatPinned(pinned)))?.sha512 ?? null;
  }

  #mustHaveRoom(): void {
    const { budget, stored, packages } = this.#deps;
    if (budget === null || (stored() < budget.left() * BUDGET_PART && !packages.kept.isFull())) return;
    throw new StorageFullError(`the disk budget of ${budget.bytesMax} bytes is used up; raise it to fetch more ahead`);
  }

  /** Where it stopped is where the next start goes on. */
  #stop(reason: string): Promise<never> {
    this.#deps.logger.warn({ at: this.#at, reason }, 'fetching ahead stops here, until the next start');
    const { signal } = this.#deps;
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  }

  async #move(at: number): Promise<void> {
    const position: Position = { patterns: this.#deps.patterns, at };
    await this.#deps.index.write([change('setting', SETTING, { value: JSON.stringify(position) })]);
    this.#at = at;
  }

  /** Other patterns than last time may match what was passed over. */
  async #storedPosition(): Promise<number> {
    const row = await this.#deps.index.get('setting', SETTING);
    const { patterns, at }: Position = row ? JSON.parse(row.value) : { patterns: [], at: 0 };
    return JSON.stringify(patterns) === JSON.stringify(this.#deps.patterns) ? at : 0;
  }
}
