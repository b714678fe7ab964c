/**
 * When this mirror follows the log, and from whom: at once when somebody shows a newer checkpoint, and now and then in any
 * case. Sources are asked for their checkpoints side by side, so that none that is slow holds up the others; what they show
 * is taken in one after the other (sync.ts). A source that does not give what it should is passed over for the next one.
 */
import { RollbackError, SplitViewError, UpstreamError } from '../../core/errors.ts';
import { TokenBuckets } from '../../core/token-bucket.ts';
import { Serial } from '../../io/serial.ts';
import { Background } from './background.ts';
import type { SplitView } from './evidence.ts';
import type { HeldCheckpoint } from './held-log.ts';
import { LogIntake, type LogIntakeDeps, VISITOR } from './log-intake.ts';
import type { LogSource } from './log-source.ts';
import { Passes } from './passes.ts';
import type { SourceState } from './source-states.ts';

export type { SourceState } from './source-states.ts';

export type LogFollower = {
  /** The newest checkpoint all of whose entries are held and folded; null before the first. */
  checkpoint(): HeldCheckpoint | null;
  /** Entries that it covers. */
  size(): number;
  /** Time of the last entry that is held, unix ms; 0 if there is none. */
  time(): number;
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

export type LogFollowerDeps = LogIntakeDeps & {
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly times: FollowTimes;
};

/** Notes remembered, so that one that comes along with every request costs nothing. */
const SEEN_MAX = 256;
/** Hints that wait for their turn; more are dropped, and looked after where they came from. */
const HINTS_MAX = 32;
/** Where as many wait, visitors are not listened to: they must leave room for sources. */
const VISITORS_HINTS_MAX = 8;
/** Hints of one source that may lead to requests: more than an honest one has news, and a bound for one that makes them up. */
const HINTS = { burst: 50, perSecond: 10 };
/** From a hint that is left alone to a look at where it came from, ms: all the others in between cost nothing. */
const LOOK_SOON_MS = 300;

export function createLogFollower(deps: LogFollowerDeps): LogFollower {
  return new Follower(deps);
}

class Follower implements LogFollower {
  readonly #deps: LogFollowerDeps;
  /** Takes in one checkpoint at a time, the largest that is known first: it makes those before it old news. */
  readonly #passes: Passes;
  readonly #catchUps = new Serial();
  readonly #background: Background;
  readonly #intake: LogIntake;
  readonly #seen = new Set<string>();
  readonly #hintsLeft = new TokenBuckets(HINTS);
  readonly #lookedAtSoon = new Set<LogSource>();
  #hints = 0;
  #catchingUp: Promise<void> | null = null;

  constructor(deps: LogFollowerDeps) {
    this.#deps = deps;
    this.#background = new Background(deps.signal, deps.random);
    this.#passes = new Passes(deps.sources[0], deps.times.patienceMs);
    this.#intake = new LogIntake(deps);
  }

  checkpoint(): HeldCheckpoint | null {
    return this.#deps.log.served();
  }

  size(): number {
    return this.checkpoint()?.checkpoint.size ?? 0;
  }

  time(): number {
    return this.#deps.log.time();
  }

  evidence(): readonly SplitView[] {
    return this.#deps.evidence.list();
  }

  stopped(): string | null {
    return this.#intake.stopped();
  }

  sources(): Readonly<Record<string, SourceState>> {
    return this.#intake.states.all();
  }

  confirmed(): number | null {
    return this.#intake.confirmed();
  }

  subscribe(listener: (served: HeldCheckpoint) => void): () => void {
    return this.#intake.subscribe(listener);
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
    if (this.#hints >= (source === null ? VISITORS_HINTS_MAX : HINTS_MAX)) {
      this.#lookSoon(source);
      return;
    }
    this.#remember(note);
    this.#hints += 1;
    void this.#background.run(this.#take(note, source)).then(() => {
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
    void this.#background
      .repeat(times.originMs, () => this.#followEach(origin ? [origin] : []))
      .then(() => {
        if (peers.length > 0) void this.#background.repeat(times.peersAwayMs, lookAtPeers);
      });
  }

  async close(): Promise<void> {
    this.#background.stop();
    await this.#catchUps.idle();
    await this.#background.idle();
  }

  /** What a source told and nobody listened to is found there, the last of it included. */
  #lookSoon(source: LogSource | null): void {
    if (source === null || this.#lookedAtSoon.has(source)) return;
    this.#lookedAtSoon.add(source);
    this.#background.after(LOOK_SOON_MS, () => {
      this.#lookedAtSoon.delete(source);
      void this.#background.run(this.#follow(source));
    });
  }

  #isOriginAway(): boolean {
    const origin = this.#deps.sources[0];
    return origin !== undefined && this.#intake.states.of(origin.name) === 'away';
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
    await this.#intake.guarded(source.name, async () => {
      const held = this.size();
      const note = await source.checkpoint();
      this.#remember(note);
      await this.#passes.run(Number.POSITIVE_INFINITY, { from: source, shownBy: source }, async (from) => {
        const seen = await this.#intake.open(note, from);
        await this.#intake.advance(seen, from, source).catch(unlessOvertaken(held));
        if (this.#intake.isOrigin(source)) await this.#intake.renew(seen);
      });
      return 'current';
    });
  }

  /** One that does not verify is worth no more than a look at where it came from, and nothing from a visitor. */
  async #take(note: string, source: LogSource | null): Promise<void> {
    const seen = this.#intake.tryOpen(note);
    if (!seen) return source && this.#mayLead(source) ? this.#follow(source) : undefined;
    const { sources } = this.#deps;
    const [first = null, ...others] = source ? [source, ...sources.filter((one) => one !== source)] : sources;
    if (!first) return;
    try {
      await this.#intake.guarded(source?.name ?? VISITOR, () =>
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
      await this.#intake.advance(seen, from, shownBy);
      return 'current';
    } catch (error) {
      if (error instanceof RollbackError) return null;
      throw error;
    }
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
