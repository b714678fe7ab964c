/** The registry behind an origin's doors: index, learning, forms and tarballs over its stores and its upstream. */
import { toHex } from '../core/bytes.ts';
import { createForms, type Forms } from '../door/forms.ts';
import { type Bell, createBell } from '../io/bell.ts';
import type { OriginKeys } from '../io/key-file.ts';
import type { Logger } from '../io/logger.ts';
import type { Metrics } from '../io/metrics.ts';
import type { SharedBudget } from '../io/shared-budget.ts';
import { formsFolder, type OriginStores } from '../io/stores.ts';
import type { Upstream } from '../io/upstream.ts';
import { createPackageIndex, type PackageIndex } from './index/package-index.ts';
import { createFreshness } from './learning/freshness.ts';
import { createIncidents } from './learning/incidents.ts';
import { createIntake } from './learning/intake.ts';
import { createLearner, type Learner } from './learning/learner.ts';
import { createPackageAdmin, type PackageAdmin } from './learning/package-admin.ts';
import { openUpstreamKeys } from './learning/upstream-keys.ts';
import { openWithdrawals } from './learning/withdrawals.ts';
import { type ForkGuard, openOwnGuard } from './log/fork-guard.ts';
import { CHECKPOINT_INTERVAL_MS, type Log, type LogDeps, openLog } from './log/log.ts';
import { mendLog } from './log/log-batch.ts';
import { createTarballs, type Tarballs } from './tarballs/tarballs.ts';

export type Registry = {
  readonly log: Log;
  readonly guard: ForkGuard;
  /** Rings when the rows of packages have changed. */
  readonly changed: Bell;
  readonly index: PackageIndex;
  readonly learner: Learner;
  readonly forms: Forms;
  readonly tarballs: Tarballs;
  /** For the operator. */
  readonly packages: PackageAdmin;
  /** Resolves when nothing is being fetched or written any more. */
  idle(): Promise<void>;
};

/** Steps between which a test may stop the process; each is where a crash would leave something half done. */
export type Step =
  | 'intake:blobs-stored'
  | 'intake:journaled'
  | 'journal:appended'
  | 'log:signed'
  | 'journal:folded'
  | 'tarball:stored'
  | 'tarball:chunks-stored'
  | 'tarball:measured';

export type RegistryDeps = {
  readonly dir: string;
  readonly stores: OriginStores;
  /** Null or left out: no bound. */
  readonly budget?: SharedBudget | null;
  readonly keys: Pick<OriginKeys, 'log' | 'logName'>;
  readonly upstream: Upstream;
  readonly freshnessMs: number;
  readonly neverAsk: readonly string[];
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Unix ms that never go back. */
  readonly now: () => number;
  readonly times?: Partial<RegistryTimes>;
  readonly step?: (step: Step) => void;
};

/** How long things may take, in ms. */
export type RegistryTimes = {
  /** A packument of the upstream, body included. */
  readonly packumentTimeoutMs: number;
  /** How long a client waits for news of a package that is known. */
  readonly packumentPatienceMs: number;
  /** The same for a client that wants a tarball of it. */
  readonly tarballPatienceMs: number;
  /** Pause before the second look at a package that is gone. */
  readonly secondLookMs: number;
  /** Between two checkpoints under load. */
  readonly checkpointIntervalMs: number;
};

const REGISTRY_TIMES: RegistryTimes = {
  packumentTimeoutMs: 60_000,
  packumentPatienceMs: 10_000,
  tarballPatienceMs: 1_000,
  secondLookMs: 2_000,
  checkpointIntervalMs: CHECKPOINT_INTERVAL_MS,
};

/** Opens the registry; what a crash left half done in the tables is mended first. */
export async function openRegistry(deps: RegistryDeps): Promise<Registry> {
  const { stores, upstream, freshnessMs, logger, metrics, now } = deps;
  const { metadata, blobs } = stores;
  const step = deps.step ?? (() => undefined);
  const times = { ...REGISTRY_TIMES, ...deps.times };
  const { checkpointIntervalMs } = times;
  const index = createPackageIndex({ metadata, blobs });
  const changed = createBell();
  const noteChange = (name: string) => {
    index.forget(name);
    changed.ring();
  };
  const { log, guard } = await openGuardedLog(deps, { changed: noteChange, step, checkpointIntervalMs });
  const counter = metrics.counter('incidents_total', 'Incidents seen for the first time, by kind', ['kind']);
  const incidents = createIncidents({ metadata, logger, now, count: (kind) => counter.inc({ kind }) });
  const keys = await openUpstreamKeys({ metadata, log, upstream, incidents, now });
  const withdrawals = await openWithdrawals({ metadata, incidents, now });
  const freshness = createFreshness({ metadata, freshnessMs, now });
  const common = { metadata, blobs, log, upstream, incidents, step };
  const intake = createIntake({
    ...common,
    index,
    keys,
    freshness,
    withdrawals,
    timeoutMs: times.packumentTimeoutMs,
    secondLookMs: times.secondLookMs,
  });
  const { tarballPatienceMs, packumentPatienceMs } = times;
  const options = { freshnessMs, neverAsk: deps.neverAsk, tarballPatienceMs, packumentPatienceMs };
  const learner = createLearner({ index, intake, freshness, options, now });
  const packages = createPackageAdmin({ index, freshness, incidents, learner, keys, withdrawals });
  metrics.gauge(
    'withdrawals_halted',
    '1 while nothing is withdrawn because too much disappeared at once',
    [],
    (gauge) => gauge.set(withdrawals.halted() ? 1 : 0),
  );
  const note = (err: unknown) => logger.warn({ err }, 'a compressed packument could not be kept on disk');
  const forms = createForms({ folder: formsFolder(deps.dir), blobs, note, budget: deps.budget ?? null });
  const tarballs = createTarballs({ ...common, store: stores.tarballs, random: Math.random, now });
  showLog(metrics, log, guard);
  metrics.gauge('upstream_flights', 'Packages being asked for', [], (gauge) => gauge.set(learner.flights()));
  const idle = async () => {
    await Promise.all([tarballs.idle(), learner.idle()]);
    await Promise.all([forms.idle(), log.idle()]);
  };
  return { log, guard, changed, index, learner, forms, tarballs, packages, idle };
}

/** Before anything is signed, what is kept as evidence against this very log is judged by what the log holds. */
async function openGuardedLog(
  { dir, stores, keys, logger, now }: RegistryDeps,
  options: Pick<LogDeps, 'changed' | 'step' | 'checkpointIntervalMs'>,
): Promise<Pick<Registry, 'log' | 'guard'>> {
  const { metadata, blobs } = stores;
  await mendLog({ metadata, blobs });
  const guard = await openOwnGuard({ dir, metadata, keys, logger });
  return { guard, log: await openLog({ metadata, blobs, logKey: keys.log, now, guard, ...options }) };
}

function showLog(metrics: Metrics, log: Log, guard: ForkGuard): void {
  metrics.gauge('journal_entries', 'Entries in the journal', [], (gauge) => gauge.set(log.size()));
  metrics.gauge('log_checkpoint', 'Size of the newest checkpoint, by its root hash', ['root'], (gauge) => {
    gauge.reset();
    const published = log.checkpoint();
    if (published) gauge.set({ root: toHex(published.checkpoint.root) }, published.checkpoint.size);
  });
  metrics.gauge(
    'log_halted',
    '1 when nothing is appended because the log key has signed another history',
    [],
    (gauge) => gauge.set(guard.halted() === null ? 0 : 1),
  );
}
