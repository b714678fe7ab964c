/** What the last look at each source of the log came to: for health, metrics and the log lines of its changes. */
import {
  MalformedError,
  ProofError,
  RollbackError,
  reasonOf,
  SignatureError,
  SplitViewError,
  UnreadableEntryError,
  UnwitnessedError,
  UpstreamError,
  WrongTileError,
} from '../../core/errors.ts';
import type { Logger } from '../../io/logger.ts';
import type { Metrics } from '../../io/metrics.ts';

/** What a look at a source came to. */
export type SourceState =
  | 'unknown'
  | 'current'
  | 'older'
  | 'away'
  | 'wrong'
  | 'failed'
  | 'split-view'
  | 'unreadable'
  | 'unwitnessed';

export type SourceStates = {
  of(name: string): SourceState;
  all(): Readonly<Record<string, SourceState>>;
  /** Counts a look; a state that is new is logged. Whoever is no source, such as a visitor, is only counted. */
  report(name: string, state: SourceState): void;
  failed(name: string, error: unknown): void;
};

/** @param deps `size`: entries that are held and shown */
export function createSourceStates(deps: {
  readonly names: readonly string[];
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly size: () => number;
}): SourceStates {
  const { names, logger, metrics, size } = deps;
  const states = new Map<string, SourceState>(names.map((name) => [name, 'unknown']));
  const looks = metrics.counter(
    'mirror_log_passes_total',
    'Looks at where the log is read from, by what they came to',
    ['source', 'outcome'],
  );

  function isNews(source: string, state: SourceState): boolean {
    looks.inc({ source, outcome: state });
    if (!states.has(source) || states.get(source) === state) return false;
    states.set(source, state);
    return true;
  }

  return {
    of: (name) => states.get(name) ?? 'unknown',
    all: () => Object.fromEntries(states),
    report(source, state) {
      if (isNews(source, state)) logger.info({ source, size: size() }, SAID[state]);
    },
    failed(source, error) {
      const state = stateAfter(error);
      if (isNews(source, state)) logger.warn({ source, reason: reasonOf(error), kept: size() }, SAID[state]);
    },
  };
}

const SAID: Readonly<Record<SourceState, string>> = {
  unknown: 'nothing is known of this source of the log',
  current: 'following the log',
  older: 'this source of the log is behind; ours is kept',
  away: 'this source of the log can’t be reached',
  wrong: 'this source of the log gave something wrong; another one is tried',
  failed: 'what this source of the log gave could not be taken in here',
  'split-view': 'this source shows another history of the log; ours is kept',
  unreadable: 'the log has an entry that can’t be followed',
  unwitnessed: 'this source shows a checkpoint that the policy holds back; ours is kept',
};

/** What a source is to blame for; anything else is trouble of our own, such as a full disk. */
const WRONG = [WrongTileError, ProofError, SignatureError, MalformedError];

function stateAfter(error: unknown): SourceState {
  if (error instanceof SplitViewError) return 'split-view';
  if (error instanceof RollbackError) return 'older';
  if (error instanceof UnreadableEntryError) return 'unreadable';
  if (error instanceof UnwitnessedError) return 'unwitnessed';
  if (error instanceof UpstreamError) return 'away';
  return WRONG.some((kind) => error instanceof kind) ? 'wrong' : 'failed';
}
