/**
 * When this mirror follows the log, and from whom: at once when somebody shows a newer checkpoint, and now and then in any
 * case. Sources are asked for their checkpoints side by side, so that none that is slow holds up the others; what they show
 * is taken in one after the other (sync.ts). A source that does not give what it should is passed over for the next one.
 *
 * What is served only ever moves on along one history. If the log's key has signed another one, both notes are kept as
 * evidence and the alarm is raised; what is held goes on being served.
 */
import { openCheckpoint } from '../core/checkpoint.ts';
import type { Entry } from '../core/entry.ts';
import { RollbackError, SignatureError, SplitViewError, UnreadableEntryError, UpstreamError } from '../core/errors.ts';
import { logNameOf, type OriginKeys } from '../core/keys-note.ts';
import { checkLogKey } from '../core/log-key.ts';
import { standingOf } from '../core/sync-plan.ts';
import { TokenBuckets } from '../core/token-bucket.ts';
import type { Logger } from '../io/logger.ts';
import type { Metrics } from '../io/metrics.ts';
import { Serial } from '../io/serial.ts';
import type { Admission } from './admission.ts';
import type { EvidenceKeeper, SplitView } from './evidence.ts';
import type { HeldCheckpoint, HeldLog } from './held-log.ts';
import type { LogSource } from './log-source.ts';
import type { OriginTrust } from './origin-keys.ts';
import { Passes } from './passes.ts';
import { createSourceStates, type SourceState, type SourceStates } from './source-states.ts';
import { checkAgainstHeld, syncTo } from './sync.ts';
import type { UnprovenKeeper } from './unproven.ts';

export type { SourceState } from './source-states.ts';

export type LogFollower = {
  /** The newest checkpoint all of whose entries are held and folded; null before the first. */
  checkpoint(): HeldCheckpoint | null;
  /** Entries that it covers. */
  size(): number;
  /**
   * Follows to what the origin shows now, or a peer if the origin does not give it.
   * @throws what the origin failed with, if nobody else could be followed
   */
  catchUp(): Promise<void>;
  /**
   * Takes note of a checkpoint that somebody shows, and follows to it if it is newer. Nothing is believed of it.
   * @param url base URL of the source that it came from; null for a visitor
   */
  hint(note: string, url: string | null): void;
  /**
   * Calls `listener` with each checkpoint that is served from now on.
   * @returns what ends that
   */
  subscribe(listener: (served: HeldCheckpoint) => void): () => void;
  evidence(): readonly SplitView[];
  /** Why the log can't be followed further by this version; null while it can. */
  stopped(): string | null;
  /** By the source's name. */
  sources(): Readonly<Record<string, SourceState>>;
  /** When a source last showed that what is served is its newest, unix ms; null if none has since the start. */
  confirmed(): number | null;
  /** Begins to look by itself. */
  start(): void;
  close(): Promise<void>;
};

/** How often to look without a reason, and how long to wait for a peer while the origin waits, ms. */
export type FollowTimes = {
  readonly originMs: number;
  readonly peersMs: number;
  /** While the origin can't be reached. */
  readonly peersAwayMs: number;
  readonly patienceMs: number;
};
export const FOLLOW_TIMES: FollowTimes = { originMs: 30_000, peersMs: 60_000, peersAwayMs: 5_000, patienceMs: 1_000 };

export type LogFollowerDeps = {
  readonly log: HeldLog;
  /** The origin first, then peers. */
  readonly sources: readonly LogSource[];
  readonly trust: OriginTrust;
  readonly admission: Admission;
  readonly evidence: EvidenceKeeper;
  readonly unproven: UnprovenKeeper;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Unix ms. */
  readonly now: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly times: FollowTimes;
  /** Aborts when the mirror stops. */
  readonly signal: AbortSignal;
};

/** Notes remembered, so that one that comes along with every request costs nothing. */
const SEEN_MAX = 256;
/** Hints that wait for their turn; more are dropped, and looked after where they came from. */
const HINTS_MAX = 32;
/** Hints of one source that may lead to requests: more than an honest one has news, and a bound for one that makes them up. */
const HINTS = { burst: 50, perSecond: 10 };
/** From a hint that is left alone to a look at where it came from, ms: all the others in between cost nothing. */
const LOOK_SOON_MS = 300;
const VISITOR = 'a visitor';

export function createLogFollower(deps: LogFollowerDeps): LogFollower {
  return new Follower(deps);
}

class Follower implements LogFollower {
  readonly #deps: LogFollowerDeps;
  /** Takes in one checkpoint at a time, the largest that is known first: it makes those before it old news. */
  readonly #passes: Passes;
  readonly #catchUps = new Serial();
  readonly #running = new Set<Promise<void>>();
  readonly #listeners = new Set<(served: HeldCheckpoint) => void>();
  readonly #states: SourceStates;
  readonly #seen = new Set<string>();
  readonly #hintsLeft = new TokenBuckets(HINTS);
  readonly #lookedAtSoon = new Set<LogSource>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #hints = 0;
  #catchingUp: Promise<void> | null = null;
  #stopped: string | null = null;
  #confirmed: number | null = null;

  constructor(deps: LogFollowerDeps) {
    this.#deps = deps;
    const { sources, logger, metrics, times } = deps;
    this.#passes = new Passes(sources[0], times.patienceMs);
    const names = sources.map(({ name }) => name);
    this.#states = createSourceStates({ names, logger, metrics, size: () => this.size() });
  }

  checkpoint(): HeldCheckpoint | null {
    return this.#deps.log.served();
  }

  size(): number {
    return this.checkpoint()?.checkpoint.size ?? 0;
  }

  evidence(): readonly SplitView[] {
    return this.#deps.evidence.list();
  }

  stopped(): string | null {
    return this.#stopped;
  }

  sources(): Readonly<Record<string, SourceState>> {
    return this.#states.all();
  }

  confirmed(): number | null {
    return this.#confirmed;
  }

  subscribe(listener: (served: HeldCheckpoint) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whoever asks while others wait for a pass to begin waits for the same one. */
  catchUp(): Promise<void> {
    this.#catchingUp ??= this.#catchUps.run(() => {
      this.#catchingUp = null;
      return this.#followAny(this.#deps.sources);
    });
    return this.#catchingUp;
  }

  hint(note: string, url: string | null): void {
    if (this.#seen.has(note) || this.#deps.signal.aborted) return;
    const source = this.#deps.sources.find((one) => one.url === url) ?? null;
    if (this.#hints >= HINTS_MAX) {
      this.#lookSoon(source);
      return;
    }
    this.#remember(note);
    this.#hints += 1;
    const taking = this.#take(note, source);
    void this.#run(taking).then(() => {
      this.#hints -= 1;
    });
  }

  start(): void {
    const { sources, times, now } = this.#deps;
    const [origin, ...peers] = sources;
    let looked = Number.NEGATIVE_INFINITY;
    const lookAtPeers = async (): Promise<void> => {
      if (!this.#isOriginAway() && Math.abs(now() - looked) < times.peersMs) return;
      looked = now();
      await this.#followEach(peers);
    };
    // First the origin alone: where its keys are not known yet, nobody else is believed.
    void this.#look(times.originMs, () => this.#followEach(origin ? [origin] : [])).then(() => {
      if (peers.length > 0) void this.#look(times.peersAwayMs, lookAtPeers);
    });
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    await this.#catchUps.idle();
    await Promise.all(this.#running);
  }

  /** Until it has ended, however it ends: what went wrong is told where that is known. */
  #run(task: Promise<void>): Promise<void> {
    const ended = task
      .catch(() => undefined)
      .finally(() => {
        this.#running.delete(ended);
      });
    this.#running.add(ended);
    return ended;
  }

  /** At once, and then again and again; mirrors that were started together must not go on looking together. */
  #look(everyMs: number, pass: () => Promise<void>): Promise<void> {
    const { signal, random } = this.#deps;
    if (signal.aborted) return Promise.resolve();
    return this.#run(pass()).then(() => {
      if (signal.aborted) return;
      const timer = setTimeout(
        () => {
          this.#timers.delete(timer);
          void this.#look(everyMs, pass);
        },
        everyMs * (0.75 + random() / 2),
      );
      timer.unref();
      this.#timers.add(timer);
    });
  }

  /** What a source told and nobody listened to is found there, the last of it included. */
  #lookSoon(source: LogSource | null): void {
    if (source === null || this.#lookedAtSoon.has(source)) return;
    this.#lookedAtSoon.add(source);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#lookedAtSoon.delete(source);
      void this.#run(this.#follow(source));
    }, LOOK_SOON_MS);
    timer.unref();
    this.#timers.add(timer);
  }

  #isOriginAway(): boolean {
    const origin = this.#deps.sources[0];
    return origin !== undefined && this.#states.of(origin.name) === 'away';
  }

  async #followEach(sources: readonly LogSource[]): Promise<void> {
    for (const source of sources) await this.#follow(source).catch(() => undefined);
  }

  /** The first that can be followed will do. */
  async #followAny(sources: readonly LogSource[]): Promise<void> {
    const failures: unknown[] = [];
    for (const source of sources) {
      try {
        return await this.#follow(source);
      } catch (error) {
        failures.push(error);
      }
    }
    throw failures[0] ?? new UpstreamError({ what: 'the log', reason: 'no source of it is known' });
  }

  async #follow(source: LogSource): Promise<void> {
    await this.#guarded(source.name, async () => {
      const held = this.size();
      const note = await source.checkpoint();
      this.#remember(note);
      await this.#passes.run(Number.POSITIVE_INFINITY, { from: source, shownBy: source }, async (from) => {
        const seen = await this.#open(note, from);
        await this.#advance(seen, from, source).catch(unlessOvertaken(held));
        if (this.#isOrigin(source)) await this.#renew(seen);
      });
      return 'current';
    });
  }

  /** One that does not verify is worth no more than a look at where it came from, and nothing from a visitor. */
  async #take(note: string, source: LogSource | null): Promise<void> {
    const keys = this.#deps.trust.current();
    const seen = keys && tryOpen(note, keys);
    if (!seen) return source && this.#mayLead(source) ? this.#follow(source) : undefined;
    const { sources } = this.#deps;
    const [first = null, ...others] = source ? [source, ...sources.filter((one) => one !== source)] : sources;
    if (!first) return;
    try {
      await this.#guarded(source?.name ?? VISITOR, () =>
        this.#passes.run(seen.checkpoint.size, { from: first, shownBy: source }, (from) =>
          this.#heed(seen, from, source),
        ),
      );
    } catch (error) {
      if (error instanceof SplitViewError) return;
      await this.#followAny(source ? others : sources);
    }
  }

  /** Whether a hint may lead to requests; if not, one look will stand for all that is told meanwhile. */
  #mayLead(source: LogSource | null): boolean {
    if (this.#hintsLeft.take(source?.name ?? VISITOR, this.#deps.now())) return true;
    this.#lookSoon(source);
    return false;
  }

  /** An older one is told by everybody who has not heard yet, and says nothing of its source. */
  async #heed(seen: HeldCheckpoint, from: LogSource, shownBy: LogSource | null): Promise<SourceState | null> {
    if (seen.checkpoint.size > this.size() && !this.#mayLead(shownBy)) return null;
    try {
      await this.#advance(seen, from, shownBy);
      return 'current';
    } catch (error) {
      if (error instanceof RollbackError) return null;
      throw error;
    }
  }

  /** @param shownBy null for a visitor: what it adds to a note is nobody's word */
  async #advance(seen: HeldCheckpoint, source: LogSource, shownBy: LogSource | null): Promise<void> {
    const { log, admission, signal, now } = this.#deps;
    signal.throwIfAborted();
    const check = (entry: Entry) => this.#check(entry);
    const admit = () => admission.admit(seen);
    const kept = admission.trimmed(seen, this.#isOrigin(shownBy));
    const changed = await syncTo(kept, source, { log, check, admit, signal }).catch((error) =>
      this.#notProven(kept, shownBy, error),
    );
    this.#stopped = null;
    if (shownBy !== null) this.#confirmed = now();
    if (changed) for (const listener of this.#listeners) listener(kept);
    await this.#judgeUnproven();
  }

  /** Whoever signed it may have shown it to one of us only, so it is not forgotten before it can be judged. */
  async #notProven(seen: HeldCheckpoint, shownBy: LogSource | null, error: unknown): Promise<never> {
    const { log, unproven, signal } = this.#deps;
    const isJudged = error instanceof SplitViewError || seen.checkpoint.size <= log.head().size;
    if (!isJudged && !signal.aborted) await unproven.keep({ seen, source: shownBy?.name ?? VISITOR });
    throw error;
  }

  async #judgeUnproven(): Promise<void> {
    const { log, unproven } = this.#deps;
    const { size } = log.head();
    for (const { seen, source } of unproven.upTo(size)) {
      await checkAgainstHeld(seen, log).catch((error) => {
        if (!(error instanceof SplitViewError)) throw error;
        return this.#raise(source, error);
      });
    }
    await unproven.forget(size);
  }

  /** The origin gets cosignatures for its checkpoint, and renews its own, long after it was published. */
  async #renew(seen: HeldCheckpoint): Promise<void> {
    const { log, admission } = this.#deps;
    const served = log.served();
    if (!served || !isSameTree(seen, served)) return;
    const renewed = admission.renewed(seen, served);
    if (renewed.note !== served.note) await log.serve(renewed);
  }

  #isOrigin(source: LogSource | null): boolean {
    return source !== null && source === this.#deps.sources[0];
  }

  /** The log's key is replaced by the root key's word only. */
  #check(entry: Entry): void {
    if (entry.kind === 'log-key') checkLogKey(entry, (this.#deps.trust.current() as OriginKeys).root);
  }

  /** Keys that don't fit may have been replaced since: their note is asked for, and believed as far as it may be. */
  async #open(note: string, source: LogSource): Promise<HeldCheckpoint> {
    const { trust } = this.#deps;
    const keys = trust.current() ?? (await trust.learn(source));
    try {
      return open(note, keys);
    } catch (error) {
      if (!(error instanceof SignatureError)) throw error;
      return open(note, await trust.learn(source));
    }
  }

  /** @param task answers with what it says of the source; null for nothing */
  async #guarded(name: string, task: () => Promise<SourceState | null>): Promise<void> {
    try {
      const state = await task();
      if (state !== null) this.#states.report(name, state);
    } catch (error) {
      if (this.#deps.signal.aborted) throw error;
      await this.#judge(name, error);
      throw error;
    }
  }

  async #judge(name: string, error: unknown): Promise<void> {
    if (error instanceof SplitViewError) await this.#raise(name, error);
    if (error instanceof UnreadableEntryError) this.#stop(error);
    this.#states.failed(name, error);
  }

  /** Kept before it is told, and told once for each pair. */
  async #raise(source: string, error: SplitViewError): Promise<void> {
    const { evidence, logger, metrics, now } = this.#deps;
    metrics
      .counter('mirror_split_views_total', 'Checkpoints seen that are of another history', ['source'])
      .inc({ source });
    if (!(await evidence.keep(error, source, now()))) return;
    const [held, offered] = error.notes;
    logger.error({ source, held, offered }, `${error.message}; what is held goes on being served`);
  }

  #stop(error: UnreadableEntryError): void {
    if (this.#stopped === error.message) return;
    this.#stopped = error.message;
    this.#deps.logger.error({ index: error.index }, `the log can't be followed: ${error.message}`);
  }

  #remember(note: string): void {
    this.#seen.add(note);
    if (this.#seen.size > SEEN_MAX) this.#seen.delete(this.#seen.values().next().value as string);
  }
}

/** What was taken in since the source was asked may be newer than what it showed: that is no fault of it. */
function unlessOvertaken(held: number): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof RollbackError) || error.offered < held) throw error;
  };
}

function isSameTree(a: HeldCheckpoint, b: HeldCheckpoint): boolean {
  return standingOf(a.checkpoint, b.checkpoint) === 'same';
}

function open(note: string, keys: OriginKeys): HeldCheckpoint {
  return { note, checkpoint: openCheckpoint(note, [keys.log], logNameOf(keys)).checkpoint };
}

function tryOpen(note: string, keys: OriginKeys): HeldCheckpoint | null {
  try {
    return open(note, keys);
  } catch {
    return null;
  }
}
