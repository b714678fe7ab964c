/**
 * The origin: metadata authority of a registry. Follows an upstream, orders all changes in its journal, keeps the hosts
 * that serve tarballs for it, and answers clients at its doors.
 */
import { setTimeout } from 'node:timers/promises';
import { toHex } from '../core/bytes.ts';
import { CACHE } from '../core/http-semantics.ts';
import { openKeysNote } from '../core/keys-note.ts';
import { type RepeatLimits, RepeatWindow } from '../core/repeats.ts';
import type { OriginSettings } from '../core/role-config.ts';
import type { SelectHost } from '../core/selection.ts';
import { createLogAnswers } from '../door/log-answers.ts';
import { serveAdmin } from '../io/admin-socket.ts';
import { createBlobTally } from '../io/blob-tally.ts';
import { openDataDir } from '../io/data-dir.ts';
import { createHttpClient, type HttpClientOptions } from '../io/http-client.ts';
import { type Answer, createHttpServer, jsonAnswer, newVia, problemAnswer } from '../io/http-server.ts';
import { type OriginKeys, openOriginKeys } from '../io/key-file.ts';
import type { Logger } from '../io/logger.ts';
import { createMetrics, type Metrics } from '../io/metrics.ts';
import { readPolicyFile } from '../io/policy-file.ts';
import { type ScrubRate, startScrubber } from '../io/scrubber.ts';
import { type OriginStores, openOriginStores } from '../io/stores.ts';
import { createUpstream, type Upstream } from '../io/upstream.ts';
import { verifyStores } from '../io/verify-stores.ts';
import { createAdminHandler } from './admin.ts';
import { createChangeDocs } from './change-docs.ts';
import { createChangedPackages } from './changed-packages.ts';
import { createChanges } from './changes.ts';
import { type Cosigning, type CosigningTimes, openCosigning } from './cosigning.ts';
import { createFederationRoutes } from './federation-routes.ts';
import type { ForkGuard } from './fork-guard.ts';
import { createGossip } from './gossip.ts';
import { createHome } from './home.ts';
import { createHosts, type Hosts } from './hosts.ts';
import type { Log } from './log.ts';
import { createNpmHandler } from './npm-routes.ts';
import { createPassthrough } from './passthrough.ts';
import { openRegistry, type Registry, type RegistryTimes, type Step } from './registry.ts';
import { settleLogKey } from './rotate-log-key.ts';
import { routePage } from './route-page.ts';
import { settleUpstream, withoutSlash } from './settle-upstream.ts';
import { createTarballAnswers } from './tarball-answer.ts';
import { createWithdrawalJudge } from './withdrawal-judge.ts';
import { openWithdrawnTarballs } from './withdrawn-tarballs.ts';

export type OriginConfig = OriginSettings & {
  readonly freshnessMs: number;
  /** Bytes of disk for tarballs of the upstream; null or left out: no bound. */
  readonly diskBudgetBytes?: number | null;
  /** Path of a C2SP tlog-policy, whose witnesses with a URL are asked to cosign; null or left out: nobody is. */
  readonly policy?: string | null;
};

export type OriginDeps = {
  readonly logger: Logger;
  /** Version of this software. */
  readonly version: string;
  /** Chooses among the hosts that are fit to serve a client. */
  readonly select: SelectHost;
  /** What a first start without an upstream follows: the registry of the user's npm configuration. */
  readonly defaultUpstream: string;
  /** Hosts of the same operator on the same machine, approved as soon as they apply. */
  readonly isOwnHost?: (hostId: string) => boolean;
  /** URL of the public registry, whose host npm swaps by itself: the only upstream that canonical doors are for. */
  readonly canonicalRegistry?: string | null;
  /** Proxies and certificates for reaching the upstream. */
  readonly http?: Partial<HttpClientOptions>;
  /** Unix ms that never go back. The default starts from the machine's clock and is not moved by its corrections. */
  readonly now?: () => number;
  readonly times?: Partial<OriginTimes>;
  readonly cosigningTimes?: CosigningTimes;
  readonly repeatLimits?: Partial<RepeatLimits>;
  readonly scrubRate?: ScrubRate;
  /** Told of each step at which a crash would leave something half done. */
  readonly step?: (step: Step) => void;
};

/** How long things may take, in ms; what is left out has its usual value. */
export type OriginTimes = RegistryTimes & {
  /** Between two looks at a host. */
  readonly probeIntervalMs: number;
  /** For an answer to a question that is passed through to the upstream. */
  readonly passTimeoutMs: number;
  /** For the upstream's next piece of a tarball. */
  readonly tarballIdleMs: number;
};

export type RunningOrigin = {
  /** Where it listens; with the bound port. */
  readonly url: string;
  /** URL of the default door: the registry that clients are told. */
  readonly registry: string;
  readonly port: number;
  readonly upstream: string;
  /** Verifier key of the log key. */
  readonly vkey: string;
  /** The root key's file, which should be taken offline; null once it was. */
  readonly rootKeyFile: string | null;
  readonly hosts: Pick<Hosts, 'approve' | 'list'>;
  /** Lets answers finish for some seconds, gives up what is being fetched, then frees the data directory. */
  close(): Promise<void>;
};

type Cleanup = () => Promise<unknown>;

/**
 * Starts an origin; resolves when it answers.
 * @throws UsageError, ConflictError for a data directory or a configuration that can't be run
 */
export async function startOrigin(config: OriginConfig, deps: OriginDeps): Promise<RunningOrigin> {
  const cleanups: Cleanup[] = [];
  const close = async (): Promise<void> => {
    for (let cleanup = cleanups.pop(); cleanup; cleanup = cleanups.pop()) await cleanup();
  };
  try {
    const parts = await openParts(config, deps, cleanups);
    return { ...(await serve(config, deps, parts, cleanups)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

type Parts = {
  dir: string;
  stores: OriginStores;
  keys: OriginKeys;
  upstream: Upstream;
  registry: Registry;
  metrics: Metrics;
  via: string;
  now: () => number;
};

async function openParts(config: OriginConfig, deps: OriginDeps, cleanups: Cleanup[]): Promise<Parts> {
  const { logger } = deps;
  const { dir, close } = await openDataDir(config.data, 'origin');
  cleanups.push(close);
  const metrics = createMetrics('origin');
  const tally = createBlobTally(metrics);
  const onBroken = (err: Error) => logger.fatal({ err }, 'a database is broken; restart this server');
  const stores = await openOriginStores(dir, { bytesMax: config.diskBudgetBytes ?? null, note: tally.note, onBroken });
  cleanups.push(() => stores.close());
  tally.count(stores.tarballs, (err) => logger.warn({ err }, 'what is stored could not be counted'));
  const changed = await settleLogKey(dir, stores);
  if (changed !== null) logger.info({ vkey: changed }, 'the change of the log key that was cut off is finished');
  const keys = await openOriginKeys(dir);
  if (openKeysNote(keys.note, null).cosigner === undefined) logger.warn(UNCERTIFIED_COSIGNER);
  const via = newVia();
  const client = createHttpClient({ userAgent: userAgent(deps), allowPrivate: true, ...deps.http });
  let idle = async (): Promise<void> => undefined;
  // What the upstream still owes then nobody waits for any more, and it may owe it for a quarter of an hour.
  cleanups.push(async () => {
    await client.close();
    await idle();
  });
  const registryUrl = await settleUpstream(stores.metadata, config, deps);
  const { times = {}, step = () => undefined, now = monotonicNow() } = deps;
  const { freshnessMs, neverAsk, upstreamTarballs: tarballOrigins } = config;
  const { tarballIdleMs } = times;
  const upstream = createUpstream({ registry: registryUrl, tarballOrigins, client, via, tarballIdleMs });
  const common = { dir, stores, keys, upstream, logger, metrics, now };
  const registry = await openRegistry({ ...common, freshnessMs, neverAsk, times, step });
  idle = registry.idle;
  // What has rotted is gone until it is asked for again, and then fetched.
  const rotten = async () => undefined;
  const scrubber = startScrubber({ store: stores.tarballs, rate: deps.scrubRate, rotten, logger, metrics, now });
  cleanups.push(() => scrubber.close());
  return { dir, stores, keys, upstream, registry, metrics, via, now };
}

async function serve(
  config: OriginConfig,
  deps: OriginDeps,
  parts: Parts,
  cleanups: Cleanup[],
): Promise<Omit<RunningOrigin, 'close'>> {
  const { logger } = deps;
  const { stores, keys, upstream, registry, metrics, via, now } = parts;
  const { probeIntervalMs, passTimeoutMs } = deps.times ?? {};
  const { behindMs } = deps.cosigningTimes ?? {};
  let port = 0;
  const doors = () => ({ doors: config.doors, port });
  const hostClient = createHttpClient({ userAgent: userAgent(deps), allowPrivate: config.allowPrivate });
  cleanups.push(() => hostClient.close());
  const cosigning = await openOriginCosigning(config, deps, parts, cleanups);
  const { cosignatures } = cosigning;
  const withdrawn = await openWithdrawnTarballs({
    ...{ ...registry, metadata: stores.metadata, store: stores.tarballs, logger },
  });
  cleanups.push(() => withdrawn.close());
  const hosts = await createHosts({
    store: stores.metadata,
    log: registry.log,
    keys,
    cosignatures,
    withdrawals: createWithdrawalJudge({ ...withdrawn, logger, metrics, now, random: Math.random }),
    doors,
    allowPrivate: config.allowPrivate,
    isOwnHost: deps.isOwnHost ?? (() => false),
    client: hostClient,
    pickBlob: () => registry.tarballs.recent(),
    logger,
    metrics,
    now,
    ...(probeIntervalMs === undefined ? {} : { probeIntervalMs }),
    ...(behindMs === undefined ? {} : { behindMs }),
  });
  cleanups.push(() => hosts.close());
  const repeats = new RepeatWindow(deps.repeatLimits);
  const tarballs = createTarballAnswers({
    ...registry,
    hosts,
    repeats,
    select: deps.select,
    redirectUnverified: config.redirectUnverified,
    redirectNever: config.redirectNever,
    metrics,
    now,
  });
  const federation = createFederationRoutes({
    hosts,
    keys,
    blobs: stores.blobs,
    forms: registry.forms,
    openTarball: (sha512) => registry.tarballs.byHash(sha512),
    measured: (sha512) => registry.tarballs.measured(sha512),
    spend: (network, bytes) => repeats.spend(network, bytes, now()),
    avoid: (network, hostId) => repeats.avoid(network, hostId, now()),
    logAnswers: createLogAnswers({
      metadata: stores.metadata,
      checkpoint: cosignatures.note,
    }),
    witnessed: cosignatures.witnessed,
    gossip: createGossip({ ...registry, logger }),
    metrics,
    now,
  });
  const { changed, index, forms } = registry;
  const changedPackages = createChangedPackages(stores.metadata);
  const server = createHttpServer({
    role: 'origin',
    logger,
    metrics,
    trustProxy: config.trustProxy,
    via,
    handler: createNpmHandler({
      ...registry,
      blobs: stores.blobs,
      tarballs,
      doors,
      canonicalRegistry: withoutSlash(deps.canonicalRegistry),
      passthrough: createPassthrough({ upstream, timeoutMs: passTimeoutMs, now }),
      federation: (incoming, path, query, door) =>
        path[0] === 'route' ? routePage(incoming, path.slice(1), door, tarballs) : federation(incoming, path, query),
      changes: createChanges({ packages: changedPackages, docs: createChangeDocs({ index, forms }), bell: changed }),
      home: createHome({ hosts, packages: changedPackages, version: deps.version }),
      healthz: async () => health(registry, hosts, stores.failure()),
      metrics: () => metricsAnswer(metrics),
    }),
  });
  cleanups.push(() => server.close());
  // Before the server, which would wait for the feeds to end.
  cleanups.push(async () => changed.close());
  port = await server.listen(config.host, config.port);
  await refuseOurselves(upstream, logger);
  await cosigning.start();
  await hosts.start();
  const admin = await serveAdmin(
    parts.dir,
    createAdminHandler({
      hosts,
      packages: registry.packages,
      verify: () => verifyStores(stores, async () => registry.log.checkpoint()?.checkpoint ?? null),
    }),
  );
  cleanups.push(() => admin.close());
  const url = boundUrl(config.host, port);
  const registryUrl = config.doors[0]?.url ?? `http://localhost:${port}`;
  logger.info(
    { url, registry: registryUrl, upstream: upstream.registry, entries: registry.log.size() },
    'origin ready',
  );
  return {
    url,
    registry: registryUrl,
    port,
    upstream: upstream.registry,
    vkey: keys.log.vkey,
    rootKeyFile: keys.rootKeyFile,
    hosts,
  };
}

async function openOriginCosigning(
  { policy }: OriginConfig,
  deps: OriginDeps,
  { keys, stores, registry, metrics, now }: Parts,
  cleanups: Cleanup[],
): Promise<Cosigning> {
  const client = createHttpClient({ userAgent: userAgent(deps), allowPrivate: true, ...deps.http });
  cleanups.push(() => client.close());
  const cosigning = await openCosigning({
    ...{ keys, metadata: stores.metadata, registry, client, logger: deps.logger, metrics, now },
    policy: policy ? await readPolicyFile(policy) : null,
    ...(deps.cosigningTimes ? { times: deps.cosigningTimes } : {}),
  });
  cleanups.push(() => cosigning.close());
  return cosigning;
}

/** The keys note is from before there was such a key, and only the root key can renew it. */
const UNCERTIFIED_COSIGNER =
  'the keys note does not name the cosigner key: put keys/root.key back for one start, or run: open-registry keys rotate';

/** An address that stands for all addresses is reached by any of them. */
function boundUrl(host: string, port: number): string {
  const name = ['0.0.0.0', '::'].includes(host) ? 'localhost' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}

/** How long a start waits for an upstream to show that it is this very server; it would answer at once. */
const SELF_CHECK_MS = 300;

async function refuseOurselves(upstream: Upstream, logger: Logger): Promise<void> {
  const check = upstream.refuseOurselves();
  check.catch((err) => logger.error({ err }, 'the upstream is this very registry; nothing can be learned'));
  await Promise.race([check, setTimeout(SELF_CHECK_MS)]);
}

const userAgent = ({ version }: OriginDeps): string => `open-registry/${version}`;

/** Unix ms that a correction of the machine's clock does not move: what is due and what repeats must not jump. */
function monotonicNow(): () => number {
  const start = Date.now() - performance.now();
  return () => Math.floor(start + performance.now());
}

function health({ log, guard }: Registry, hosts: Hosts, failure: Error | null): Answer {
  if (failure) return problemAnswer(503, 'broken', failure.message);
  const views = hosts.views();
  const fit = views.filter(
    (host) => host.approved && host.present && host.healthy && !host.behind && !host.withdrawals,
  ).length;
  const facts = {
    status: guard.halted() === null ? 'ok' : 'halted',
    role: 'origin',
    entries: log.size(),
    log: logFacts(log, guard),
    hosts: { known: views.length, fit },
  };
  return jsonAnswer(200, facts, { 'cache-control': CACHE.noStore });
}

/** The newest checkpoint as a few facts; `halted` says why nothing is appended. */
function logFacts(log: Log, guard: ForkGuard): Record<string, unknown> {
  const published = log.checkpoint();
  const { origin: name, size, root } = published?.checkpoint ?? { origin: null, size: null, root: null };
  return { name, size, root: root && toHex(root), halted: guard.halted() };
}

async function metricsAnswer(metrics: Metrics): Promise<Answer> {
  const { contentType, body } = await metrics.page();
  return { status: 200, headers: { 'content-type': contentType, 'cache-control': CACHE.noStore }, body };
}
