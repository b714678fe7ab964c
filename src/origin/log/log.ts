/**
 * The log: the only place where something is added to the index, and where its state is signed.
 *
 * Entries are taken in batches, each of which ends in a `commit` entry and makes one checkpoint: at once when the writer
 * is idle, so that a client that learns one package after the other never waits for anything but the disk. What comes
 * while a batch is being written is the next batch: at once, too, as long as there were few checkpoints lately; under
 * load when {@link CHECKPOINT_INTERVAL_MS} have passed since the last one. Entries that nobody waits for make no
 * checkpoint of their own: they go with the next batch, and within that time in any case.
 *
 * Order, and what a crash leaves behind:
 * 1. Blobs that an entry names are durable before it is handed over (the caller's duty). Crash: unnamed blobs.
 * 2. What the fold will change is worked out: an entry that can't be folded must never get into the log.
 * 3. The batch is appended, and size and root move with it, by a durable compare-and-swap. This is the commit point.
 *    Crash before it: nothing happened. Whoever else writes to the same store fails here, before anything is signed, so
 *    that no two histories are ever signed.
 * 4. That size and root are signed. Crash before it or right after it: nobody has seen the checkpoint; the next start
 *    signs the same again, byte for byte (Ed25519 has no randomness).
 * 5. The checkpoint is published: from here on others may hold us to it.
 * 6. The changes are written to the tables, together with the count of folded entries, in one transaction. Crash before
 *    it: the tables are behind the log, never ahead of it.
 *
 * A start mends all of it by {@link mendLog}, and the same is done after a write that failed (a full disk, another writer)
 * before anything more is appended.
 */
import { setTimeout } from 'node:timers/promises';
import { type Checkpoint, formatCheckpoint } from '../../core/checkpoint.ts';
import { type Entry, formatEntry } from '../../core/entry.ts';
import { EMPTY_TREE, headOf, type LogTree } from '../../core/log-tree.ts';
import { type Signer, signNote } from '../../core/note.ts';
import { TokenBuckets } from '../../core/token-bucket.ts';
import { lastEntry } from '../../io/last-entry.ts';
import { type ForkGuard, NO_GUARD } from './fork-guard.ts';
import { appendBatch, type BatchDeps, type BatchStep, mendLog, type NewEntry } from './log-batch.ts';

/** A checkpoint with the note that says it: what is served. */
export type Published = { readonly checkpoint: Checkpoint; readonly note: string };

export type Log = {
  /**
   * Resolves once a published checkpoint covers the entries and the tables show them.
   * @param when `now` if somebody waits for it; `soon` goes with what others append, within {@link CHECKPOINT_INTERVAL_MS}
   * @throws MalformedError for an entry that has no canonical form; LogHaltedError
   */
  append(entries: readonly NewEntry[], when?: 'now' | 'soon'): Promise<void>;
  /** Entries that the newest checkpoint covers. */
  size(): number;
  /** The newest one; null only in an origin that was started although its log is halted. */
  checkpoint(): Published | null;
  /**
   * Calls `listener` with each new checkpoint as it is published.
   * @returns what ends that
   */
  subscribe(listener: (published: Published) => void): () => void;
  /** Resolves when nothing is being written. */
  idle(): Promise<void>;
};

/** A clock for waiting that never jumps, in ms. */
export type Clock = { readonly now: () => number; readonly sleep: (ms: number) => Promise<unknown> };

export type LogDeps = Omit<BatchDeps, 'step'> & {
  /** Its name is the log's. */
  readonly logKey: Signer;
  /** Told of each step, for tests that stop the process between two of them. */
  readonly step?: (name: BatchStep | 'log:signed') => void;
  readonly clock?: Clock;
  readonly checkpointIntervalMs?: number;
  readonly checkpointBurst?: number;
};

/** Under load there is one checkpoint in this time. */
export const CHECKPOINT_INTERVAL_MS = 200;
/** Checkpoints ahead of that pace before it counts as load: a few installs of packages that nobody asked for before. */
const CHECKPOINT_BURST = 100;

type Waiting = { entries: readonly NewEntry[]; resolve: () => void; reject: (reason: unknown) => void };

/** Opens the log: mends what a crash left, publishes a checkpoint if there is none yet, then takes entries. */
export async function openLog(deps: LogDeps): Promise<Log> {
  const log = new OriginLog(deps);
  await log.open();
  return log;
}

class OriginLog implements Log {
  readonly #deps: LogDeps;
  readonly #guard: Pick<ForkGuard, 'mustAgree'>;
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #pace: TokenBuckets;
  readonly #listeners = new Set<(published: Published) => void>();
  /** What the store's head says, as far as this object knows. */
  #tree: LogTree = EMPTY_TREE;
  #lastTime = 0;
  #published: Published | null = null;
  #publishedAtMs = Number.NEGATIVE_INFINITY;
  #waiting: Waiting[] = [];
  #running: Promise<void> | null = null;
  /** Whether a batch is to be made of what waits. */
  #isDue = false;
  #gathering: Promise<void> | null = null;
  /** False after a write that failed: the store is to be looked at anew. */
  #settled = false;

  constructor(deps: LogDeps) {
    this.#deps = deps;
    this.#guard = deps.guard ?? NO_GUARD;
    this.#clock = deps.clock ?? { now: () => performance.now(), sleep: (ms) => setTimeout(ms) };
    const { checkpointIntervalMs = CHECKPOINT_INTERVAL_MS, checkpointBurst = CHECKPOINT_BURST } = deps;
    this.#intervalMs = checkpointIntervalMs;
    this.#pace = new TokenBuckets({ burst: checkpointBurst, perSecond: 1000 / checkpointIntervalMs });
  }

  async open(): Promise<void> {
    await this.#settle();
  }

  append(entries: readonly NewEntry[], when: 'now' | 'soon' = 'now'): Promise<void> {
    return new Promise((resolve, reject) => {
      if (entries.length === 0) return resolve();
      this.#guard.mustAgree();
      // Refuses what is no entry here, before it could spoil the batch of others.
      for (const entry of entries) formatEntry({ ...entry, time: 0 } as Entry);
      this.#waiting.push({ entries, resolve, reject });
      if (when === 'now') this.#hurry();
      else this.#gathering ??= this.#gather();
    });
  }

  size(): number {
    return this.#published?.checkpoint.size ?? this.#tree.size;
  }

  checkpoint(): Published | null {
    return this.#published;
  }

  subscribe(listener: (published: Published) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async idle(): Promise<void> {
    if (this.#waiting.length > 0) this.#hurry();
    while (this.#running) await this.#running;
  }

  #hurry(): void {
    this.#isDue = true;
    this.#running ??= this.#drain();
  }

  async #gather(): Promise<void> {
    await this.#clock.sleep(this.#intervalMs);
    this.#gathering = null;
    if (this.#waiting.length > 0) this.#hurry();
  }

  async #drain(): Promise<void> {
    // What is appended in the same turn of the event loop belongs together.
    await null;
    this.#isWithinPace();
    for (let isLoad = false; this.#isDue; ) {
      if (isLoad && !this.#isWithinPace()) await this.#untilDue();
      this.#isDue = false;
      isLoad = await this.#take(this.#waiting.splice(0));
    }
    this.#running = null;
  }

  #isWithinPace(): boolean {
    return this.#pace.take('checkpoints', this.#clock.now());
  }

  async #untilDue(): Promise<void> {
    const waitMs = this.#publishedAtMs + this.#intervalMs - this.#clock.now();
    if (waitMs > 0) await this.#clock.sleep(waitMs);
  }

  /** @returns whether more came meanwhile, and not only once somebody was told that this is done */
  async #take(batch: readonly Waiting[]): Promise<boolean> {
    try {
      if (!this.#settled) await this.#settle();
      await this.#write(batch.flatMap((one) => one.entries));
      const isMoreDue = this.#isDue;
      for (const one of batch) one.resolve();
      return isMoreDue;
    } catch (error) {
      this.#settled = false;
      for (const one of batch) one.reject(error);
      await this.#settle().catch(() => undefined);
      return false;
    }
  }

  /** Brings tree, tables and checkpoint to where the journal is, whatever the last writer did not get to. */
  async #settle(): Promise<void> {
    const { metadata } = this.#deps;
    this.#tree = await mendLog(this.#deps);
    const last = await lastEntry(metadata, this.#tree.size);
    this.#lastTime = last?.time ?? 0;
    if (last?.kind === 'commit') await this.#publishIfAgreed();
    else await this.#write([]);
    this.#settled = true;
  }

  async #write(batch: readonly NewEntry[]): Promise<void> {
    const state = { tree: this.#tree, time: this.#lastTime };
    const { tree, time, fold } = await appendBatch(this.#deps, state, batch);
    this.#tree = tree;
    this.#lastTime = time;
    await this.#publish();
    await fold();
  }

  async #publishIfAgreed(): Promise<void> {
    try {
      this.#guard.mustAgree();
    } catch {
      return;
    }
    await this.#publish();
  }

  /** Signs what the store durably says, never anything else, and shows it. */
  async #publish(): Promise<void> {
    const { size, root } = headOf(this.#tree);
    if (this.#published?.checkpoint.size === size) return;
    const { logKey } = this.#deps;
    this.#guard.mustAgree();
    const checkpoint: Checkpoint = { origin: logKey.name, size, root, extensions: [] };
    const note = await signNote(formatCheckpoint(checkpoint), [logKey]);
    this.#deps.step?.('log:signed');
    const published = { checkpoint, note };
    this.#published = published;
    this.#publishedAtMs = this.#clock.now();
    for (const listener of this.#listeners) listener(published);
  }
}
