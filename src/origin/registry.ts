/** The registry behind an origin's doors: index, learning, forms and tarballs over its stores and its upstream. */
import type { Logger } from '../io/logger.ts';
import type { Metrics } from '../io/metrics.ts';
import { formsFolder, type OriginStores } from '../io/stores.ts';
import type { Upstream } from '../io/upstream.ts';
import { createForms, type Forms } from './forms.ts';
import { createFreshness } from './freshness.ts';
import { createIncidents, type Incidents } from './incidents.ts';
import { createIntake } from './intake.ts';
import { type Journal, openJournal } from './journal.ts';
import { createLearner, type Learner } from './learner.ts';
import { createPackageIndex, type PackageIndex } from './package-index.ts';
import { createTarballs, type Tarballs } from './tarballs.ts';
import { openUpstreamKeys } from './upstream-keys.ts';

export type Registry = {
  readonly journal: Journal;
  readonly index: PackageIndex;
  readonly learner: Learner;
  readonly forms: Forms;
  readonly tarballs: Tarballs;
  readonly incidents: Incidents;
  /** Resolves when nothing is being fetched or written any more. */
  idle(): Promise<void>;
};

/** Steps between which a test may stop the process; each is where a crash would leave something half done. */
export type Step =
  | 'intake:blobs-stored'
  | 'intake:journaled'
  | 'journal:appended'
  | 'journal:folded'
  | 'tarball:stored'
  | 'tarball:chunks-stored'
  | 'tarball:measured';

export type RegistryDeps = {
  readonly dir: string;
  readonly stores: OriginStores;
  readonly upstream: Upstream;
  readonly freshnessMs: number;
  readonly neverAsk: readonly string[];
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Unix ms that never go back. */
  readonly now: () => number;
  readonly step?: (step: Step) => void;
};

/** How long a packument of the upstream may take, body included. */
const PACKUMENT_TIMEOUT_MS = 60_000;
/** How long a client waits for news of a package that is known. */
const PACKUMENT_PATIENCE_MS = 10_000;
const TARBALL_PATIENCE_MS = 1_000;
const SECOND_LOOK_MS = 2_000;

/** Opens the registry; what a crash left half done in the tables is mended first. */
export async function openRegistry(deps: RegistryDeps): Promise<Registry> {
  const { stores, upstream, freshnessMs, logger, metrics, now } = deps;
  const { metadata, blobs } = stores;
  const step = deps.step ?? (() => undefined);
  const journal = await openJournal({ metadata, blobs, now, step });
  const counter = metrics.counter('incidents_total', 'Incidents seen for the first time, by kind', ['kind']);
  const incidents = createIncidents({ metadata, logger, now, count: (kind) => counter.inc({ kind }) });
  const keys = await openUpstreamKeys({ metadata, journal, upstream, incidents, now });
  const index = createPackageIndex({ metadata, blobs });
  const freshness = createFreshness({ metadata, freshnessMs, now });
  const common = { metadata, blobs, journal, upstream, incidents, step };
  const intake = createIntake({
    ...common,
    index,
    keys,
    freshness,
    timeoutMs: PACKUMENT_TIMEOUT_MS,
    secondLookMs: SECOND_LOOK_MS,
  });
  const options = {
    freshnessMs,
    neverAsk: deps.neverAsk,
    tarballPatienceMs: TARBALL_PATIENCE_MS,
    packumentPatienceMs: PACKUMENT_PATIENCE_MS,
  };
  const learner = createLearner({ index, intake, freshness, options, now });
  const note = (err: unknown) => logger.warn({ err }, 'a compressed packument could not be kept on disk');
  const forms = createForms({ folder: formsFolder(deps.dir), blobs, note });
  const tarballs = createTarballs({ ...common, store: stores.tarballs, random: Math.random });
  metrics.gauge('journal_entries', 'Entries in the journal', [], (gauge) => gauge.set(journal.size()));
  metrics.gauge('upstream_flights', 'Packages being asked for', [], (gauge) => gauge.set(learner.flights()));
  const idle = async () => {
    await Promise.all([tarballs.idle(), learner.idle()]);
    await Promise.all([forms.idle(), journal.idle()]);
  };
  return { journal, index, learner, forms, tarballs, incidents, idle };
}
