/**
 * What becomes of a checkpoint that somebody shows: it is opened with the keys that are believed, taken in if it is proven
 * (sync.ts), and what was found of its source is noted.
 *
 * What is served only ever moves on along one history. If the log's key has signed another one, both notes are kept as
 * evidence and the alarm is raised; what is held goes on being served.
 */
import { openCheckpoint } from '../../core/checkpoint.ts';
import type { Entry } from '../../core/entry.ts';
import { SignatureError, SplitViewError, UnreadableEntryError } from '../../core/errors.ts';
import { logNameOf, type OriginKeys } from '../../core/keys-note.ts';
import { checkLogKey } from '../../core/log-key.ts';
import { standingOf } from '../../core/sync-plan.ts';
import type { Logger } from '../../io/logger.ts';
import type { Metrics } from '../../io/metrics.ts';
import type { OriginTrust } from '../membership/origin-keys.ts';
import type { Admission } from './admission.ts';
import type { EvidenceKeeper } from './evidence.ts';
import type { HeldCheckpoint, HeldLog } from './held-log.ts';
import type { LogSource } from './log-source.ts';
import { createSourceStates, type SourceState, type SourceStates } from './source-states.ts';
import { checkAgainstHeld, syncTo } from './sync.ts';
import type { UnprovenKeeper } from './unproven.ts';

export type LogIntakeDeps = {
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
  /** Aborts when the mirror stops. */
  readonly signal: AbortSignal;
};

/** In place of a source's name. */
export const VISITOR = 'a visitor';

export class LogIntake {
  readonly states: SourceStates;
  readonly #deps: LogIntakeDeps;
  readonly #listeners = new Set<(served: HeldCheckpoint) => void>();
  #stopped: string | null = null;
  #confirmed: number | null = null;

  constructor(deps: LogIntakeDeps) {
    this.#deps = deps;
    const { sources, logger, metrics, log } = deps;
    const names = sources.map(({ name }) => name);
    this.states = createSourceStates({ names, logger, metrics, size: () => log.served()?.checkpoint.size ?? 0 });
  }

  /** Why the log can't be followed further by this version; null while it can. */
  stopped(): string | null {
    return this.#stopped;
  }

  /** When a source last showed that what is served is its newest, unix ms; null if none has since the start. */
  confirmed(): number | null {
    return this.#confirmed;
  }

  subscribe(listener: (served: HeldCheckpoint) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The checkpoint if a key that is believed already has signed it. */
  tryOpen(note: string): HeldCheckpoint | null {
    const keys = this.#deps.trust.current();
    if (!keys) return null;
    try {
      return open(note, keys);
    } catch {
      return null;
    }
  }

  /** @param shownBy null for a visitor: what it adds to a note is nobody's word */
  async advance(seen: HeldCheckpoint, source: LogSource, shownBy: LogSource | null): Promise<void> {
    const { log, admission, signal, now } = this.#deps;
    signal.throwIfAborted();
    const check = (entry: Entry) => this.#check(entry);
    const admit = () => admission.admit(seen);
    const kept = admission.trimmed(seen, this.isOrigin(shownBy));
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
  async renew(seen: HeldCheckpoint): Promise<void> {
    const { log, admission } = this.#deps;
    const served = log.served();
    if (!served || !isSameTree(seen, served)) return;
    const renewed = admission.renewed(seen, served);
    if (renewed.note !== served.note) await log.serve(renewed);
  }

  isOrigin(source: LogSource | null): boolean {
    return source !== null && source === this.#deps.sources[0];
  }

  /** The log's key is replaced by the root key's word only. */
  #check(entry: Entry): void {
    if (entry.kind === 'log-key') checkLogKey(entry, (this.#deps.trust.current() as OriginKeys).root);
  }

  /** Keys that don't fit may have been replaced since: their note is asked for, and believed as far as it may be. */
  async open(note: string, source: LogSource): Promise<HeldCheckpoint> {
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
  async guarded(name: string, task: () => Promise<SourceState | null>): Promise<void> {
    try {
      const state = await task();
      if (state !== null) this.states.report(name, state);
    } catch (error) {
      if (this.#deps.signal.aborted) throw error;
      await this.#judge(name, error);
      throw error;
    }
  }

  async #judge(name: string, error: unknown): Promise<void> {
    if (error instanceof SplitViewError) await this.#raise(name, error);
    if (error instanceof UnreadableEntryError) this.#stop(error);
    this.states.failed(name, error);
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
}

function isSameTree(a: HeldCheckpoint, b: HeldCheckpoint): boolean {
  return standingOf(a.checkpoint, b.checkpoint) === 'same';
}

function open(note: string, keys: OriginKeys): HeldCheckpoint {
  return { note, checkpoint: openCheckpoint(note, [keys.log], logNameOf(keys)).checkpoint };
}
