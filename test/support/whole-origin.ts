import { createHash } from 'node:crypto';
import type { TestContext } from 'node:test';
import { rendezvous } from '../../src/core/selection.ts';
import type { MirrorConfig, MirrorDeps } from '../../src/mirror/options.ts';
import type { OriginConfig, OriginDeps, OriginTimes } from '../../src/origin/options.ts';
import { type RunningOrigin, startOrigin } from '../../src/origin/service.ts';
import { ask, type Question, type Reply } from './ask.ts';
import { LogLines } from './log-lines.ts';
import { madePackage } from './made-package.ts';
import { originConfig } from './origin-config.ts';
import { tempFolder } from './temp-folder.ts';
import { startTestMirror, type TestMirror } from './test-mirror.ts';
import { until } from './until.ts';
import { startUpstream, type Upstream } from './upstream.ts';
import type { Manifest } from './upstream-packages.ts';

/** An origin as `origin` starts it, with a real upstream behind it, and a clock that a test can move on. */
export interface WholeOrigin {
  readonly upstream: Upstream;
  readonly log: LogLines;
  readonly hosts: RunningOrigin['hosts'];
  readonly port: number;
  /** The door `http://localhost:<port>`; mirrors are under 127.0.0.1, which is another host name. */
  readonly door: string;
  readonly data: string;
  ask(path: string, question?: Question): Promise<Reply>;
  /** Makes the upstream have a package, one version per key. */
  put(name: string, versions?: Record<string, Partial<Manifest>>): Record<string, Buffer>;
  /** Resolves when the log says what was measured of a tarball that was asked for; no client waits for that. */
  measured(tarball: Uint8Array | undefined): Promise<void>;
  /** Moves the clock on. */
  pass(ms: number): void;
  /** What its clock says, unix ms. */
  readonly now: () => number;
  /** The metrics page's value of a metric with these labels, all others summed up; 0 if it is not there. */
  metric(name: string, labels?: Record<string, string>): Promise<number>;
  close(): Promise<void>;
}

export interface WholeOriginOptions {
  readonly config?: Partial<OriginConfig>;
  readonly deps?: Partial<OriginDeps>;
  readonly times?: Partial<OriginTimes>;
  readonly upstream?: Upstream;
}

/** Short enough that a test may wait for them, long enough for a busy machine. */
const TIMES: OriginTimes = {
  packumentTimeoutMs: 5_000,
  packumentPatienceMs: 5_000,
  tarballPatienceMs: 2_000,
  secondLookMs: 1,
  checkpointIntervalMs: 1,
  probeIntervalMs: 50,
  passTimeoutMs: 5_000,
  tarballIdleMs: 5_000,
};

/** Starts an origin that approves every host that applies. It ends with the test at the latest. */
export async function startWholeOrigin(
  t: Pick<TestContext, 'after'>,
  options: WholeOriginOptions = {},
): Promise<WholeOrigin> {
  const upstream = options.upstream ?? (await startUpstream(t, { signed: false, real: false }));
  const log = new LogLines('origin');
  const data = options.config?.data ?? tempFolder();
  let ahead = 0;
  const start = Date.now() - performance.now();
  const now = () => Math.floor(start + performance.now() + ahead);
  const config = { ...originConfig(data, upstream.url), ...options.config };
  const origin = await startOrigin(config, {
    logger: log.logger,
    version: 'test',
    select: rendezvous,
    defaultUpstream: upstream.url,
    isOwnHost: () => true,
    now,
    times: { ...TIMES, ...options.times },
    ...options.deps,
  });
  const door = `http://localhost:${origin.port}`;
  let closing: Promise<void> | null = null;
  const close = () => {
    closing ??= origin.close();
    return closing;
  };
  t.after(close);
  const whole: WholeOrigin = {
    ...{ upstream, log, data, door, now, hosts: origin.hosts, port: origin.port, close },
    ask: (path, question) => ask(door, { target: path, ...question }),
    put: (name, versions = { '1.0.0': {} }) => {
      const made = madePackage(name, versions);
      upstream.packages.put(made);
      return made.tarballs;
    },
    measured: async (tarball) => {
      const path = `/-/federation/measured/${createHash('sha512')
        .update(tarball ?? '')
        .digest('hex')}`;
      await until('the tarball is measured', async () => (await whole.ask(path)).status === 200);
    },
    pass: (ms) => {
      ahead += ms;
    },
    metric: async (name, labels = {}) => sumOf((await whole.ask('/-/metrics')).body.toString(), name, labels),
  };
  return whole;
}

/** A mirror that the origin sends clients to, with the same clock. */
export async function startHost(
  t: Pick<TestContext, 'after'>,
  { door, log, now }: WholeOrigin,
  config: Partial<MirrorConfig> = {},
  deps: Partial<MirrorDeps> = {},
): Promise<TestMirror> {
  const mirror = await startTestMirror(t, door, config, { now, ...deps });
  await log.until(({ host, msg }) => host === mirror.hostId && /is healthy/.test(msg));
  return mirror;
}

function sumOf(page: string, name: string, labels: Record<string, string>): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return page
    .split('\n')
    .filter((line) => line.startsWith(`open_registry_${name}{`) && wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}
