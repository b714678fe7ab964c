import { randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import type { IncidentRow } from '../../src/core/tables.ts';
import { createForms, type Forms } from '../../src/door/forms.ts';
import { createHttpClient } from '../../src/io/http-client.ts';
import { createLogger } from '../../src/io/logger.ts';
import { createUpstream } from '../../src/io/upstream.ts';
import { createPackageIndex } from '../../src/origin/index/package-index.ts';
import { createFreshness } from '../../src/origin/learning/freshness.ts';
import { createIncidents } from '../../src/origin/learning/incidents.ts';
import { createIntake } from '../../src/origin/learning/intake.ts';
import { createLearner, type Learner, type LearnerOptions } from '../../src/origin/learning/learner.ts';
import { createPackageAdmin, type PackageAdmin } from '../../src/origin/learning/package-admin.ts';
import { openUpstreamKeys } from '../../src/origin/learning/upstream-keys.ts';
import { openWithdrawals } from '../../src/origin/learning/withdrawals.ts';
import { type Log, openLog } from '../../src/origin/log/log.ts';
import { exampleSigner } from './example-keys.ts';
import { MemoryBlobStore } from './memory-blob-store.ts';
import { MemoryMetadataStore } from './memory-metadata-store.ts';
import { tempFolder } from './temp-folder.ts';
import { startUpstream, type Upstream } from './upstream.ts';

/** The learning half of an origin over memory stores and a real upstream, with a clock that a test moves. */
export type OriginCore = {
  readonly server: Upstream;
  readonly blobs: MemoryBlobStore;
  readonly metadata: MemoryMetadataStore;
  readonly log: Log;
  readonly learner: Learner;
  readonly forms: Forms;
  readonly packages: PackageAdmin;
  /** Moves the clock. */
  pass(ms: number): void;
  incidents(): Promise<IncidentRow[]>;
  /** The packument of a form as a client would parse it, tarball URLs under `http://door.example`. */
  packument(name: string, kind?: 'full' | 'abbreviated'): Promise<ClientPackument>;
};

/** Of an origin that a test starts once more. */
type OriginCoreStores = Pick<OriginCore, 'metadata' | 'blobs'>;

export type ClientPackument = {
  name: string;
  modified?: string;
  'dist-tags': Record<string, string>;
  versions: Record<string, { dist: { tarball: string; integrity?: string }; [key: string]: unknown }>;
  time: Record<string, string>;
};

export const FRESHNESS_MS = 300_000;

export async function startOriginCore(
  t: Pick<TestContext, 'after'>,
  settings: Partial<LearnerOptions> & { signed?: boolean; server?: Upstream } & Partial<OriginCoreStores> = {},
): Promise<OriginCore> {
  const server = settings.server ?? (await startUpstream(t, { signed: settings.signed ?? false }));
  const client = createHttpClient({ userAgent: 'test', allowPrivate: true });
  t.after(() => client.close());
  const upstream = createUpstream({ registry: server.url, tarballOrigins: [], client, via: randomUUID() });
  let clock = Date.parse('2026-01-01T00:00:00Z');
  const now = () => clock;
  const { metadata = new MemoryMetadataStore(), blobs = new MemoryBlobStore() } = settings;
  const index = createPackageIndex({ metadata, blobs });
  const logKey = exampleSigner('log.example', 'example log key');
  const log = await openLog({ metadata, blobs, logKey, now, changed: index.forget, checkpointIntervalMs: 0 });
  const logger = createLogger({ role: 'test', level: 'silent', write: () => undefined });
  const incidents = createIncidents({ metadata, logger, now, count: () => undefined });
  const keys = await openUpstreamKeys({ metadata, log, upstream, incidents, now });
  const withdrawals = await openWithdrawals({ metadata, incidents, now });
  const freshness = createFreshness({ metadata, freshnessMs: settings.freshnessMs ?? FRESHNESS_MS, now });
  const common = { metadata, blobs, log, index, upstream, keys, freshness, incidents, withdrawals };
  const intake = createIntake({ ...common, timeoutMs: 30_000, secondLookMs: 1 });
  const options = { freshnessMs: FRESHNESS_MS, neverAsk: [], tarballPatienceMs: 1_000, packumentPatienceMs: 5_000 };
  const learner = createLearner({ index, intake, freshness, options: { ...options, ...settings }, now });
  const forms = createForms({ folder: tempFolder(), blobs, note: (error) => Promise.reject(error) });
  // Folders go at the end of the file, and a form may still be on its way into one.
  t.after(() => forms.idle());
  return {
    server,
    blobs,
    metadata,
    log,
    learner,
    forms,
    packages: createPackageAdmin({ index, freshness, incidents, learner, keys, withdrawals }),
    pass: (ms) => {
      clock += ms;
    },
    incidents: () => incidents.list(),
    async packument(name, kind = 'full') {
      const { head } = (await learner.packument(name, '127.0.0.0/24')).view;
      if (!head) throw new Error(`${name} has no head`);
      const pieces: Uint8Array[] = [];
      for await (const piece of await forms.plain(kind, head, 'http://door.example')) pieces.push(piece);
      return JSON.parse(Buffer.concat(pieces).toString());
    },
  };
}
