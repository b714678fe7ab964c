/**
 * The origin: metadata authority of a registry. Follows an upstream, orders all changes in its journal, keeps the hosts
 * that serve tarballs for it, and answers clients at its doors.
 */
import { setTimeout } from 'node:timers/promises';
import { RepeatWindow } from '../core/repeats.ts';
import { createLogAnswers } from '../door/log-answers.ts';
import { serveAdmin } from '../io/admin-socket.ts';
import { createHttpClient } from '../io/http-client.ts';
import { createHttpServer, type Handler } from '../io/http-server.ts';
import type { Logger } from '../io/logger.ts';
import { metricsAnswer } from '../io/metrics.ts';
import { readPolicyFile } from '../io/policy-file.ts';
import type { Upstream } from '../io/upstream.ts';
import { verifyStores } from '../io/verify-stores.ts';
import { createAdminHandler } from './admin.ts';
import { createChangeDocs } from './changes/change-docs.ts';
import { createChangedPackages } from './changes/changed-packages.ts';
import { createChanges } from './changes/changes.ts';
import { type Cosigning, openCosigning } from './cosigning/cosigning.ts';
import { createFederationRoutes, type FederationRoutes } from './federation-routes.ts';
import { healthAnswer } from './health.ts';
import { createHome } from './home.ts';
import type { Hosts, HostsDeps } from './hosts/hosts.ts';
import { createGossip } from './log/gossip.ts';
import { createNpmHandler } from './npm-routes.ts';
import { openHosts } from './open-hosts.ts';
import { openParts, type Parts, userAgent } from './open-parts.ts';
import type { Cleanups, OriginConfig, OriginDeps } from './options.ts';
import { createPassthrough } from './passthrough.ts';
import { routePage } from './route-page.ts';
import { withoutSlash } from './settle-upstream.ts';
import { createTarballAnswers } from './tarball-answer.ts';

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

/**
 * Starts an origin; resolves when it answers.
 * @throws UsageError, ConflictError for a data directory or a configuration that can't be run
 */
export async function startOrigin(config: OriginConfig, deps: OriginDeps): Promise<RunningOrigin> {
  const cleanups: Cleanups = [];
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

async function serve(
  config: OriginConfig,
  deps: OriginDeps,
  parts: Parts,
  cleanups: Cleanups,
): Promise<Omit<RunningOrigin, 'close'>> {
  const { logger } = deps;
  const { keys, upstream, registry, metrics, via } = parts;
  let port = 0;
  const doors = () => ({ doors: config.doors, port });
  const cosigning = await openOriginCosigning(config, deps, parts, cleanups);
  const repeats = new RepeatWindow(deps.repeatLimits);
  const hosts = await openHosts({ config, deps, parts, cosigning, repeats, doors }, cleanups);
  const handler = createHandler({ config, deps, parts, cosigning, repeats, hosts, doors });
  const server = createHttpServer({ role: 'origin', logger, metrics, trustProxy: config.trustProxy, via, handler });
  cleanups.push(() => server.close());
  // Before the server, which would wait for the feeds to end.
  cleanups.push(async () => registry.changed.close());
  port = await server.listen(config.host, config.port);
  await refuseOurselves(upstream, logger);
  await cosigning.start();
  await hosts.start();
  await openAdmin(parts, hosts, cleanups);
  const url = boundUrl(config.host, port);
  const registryUrl = config.doors[0]?.url ?? `http://localhost:${port}`;
  const told = { url, registry: registryUrl, upstream: upstream.registry };
  logger.info({ ...told, entries: registry.log.size() }, 'origin ready');
  return { ...told, port, vkey: keys.log.vkey, rootKeyFile: keys.rootKeyFile, hosts };
}

/** What answers come from, once hosts are known. */
type Answering = {
  readonly config: OriginConfig;
  readonly deps: OriginDeps;
  readonly parts: Parts;
  readonly cosigning: Cosigning;
  readonly repeats: RepeatWindow;
  readonly hosts: Hosts;
  readonly doors: HostsDeps['doors'];
};

function createHandler({ config, deps, parts, cosigning, repeats, hosts, doors }: Answering): Handler {
  const { stores, upstream, registry, metrics, now } = parts;
  const { changed, index, forms } = registry;
  const { select, canonicalRegistry, version, times = {}, pause = setTimeout } = deps;
  const { redirectUnverified, redirectTrusted, redirectNever } = config;
  const tarballs = createTarballAnswers({
    ...{ ...registry, hosts, repeats, select, logger: deps.logger, metrics, now, pause },
    ...{ redirectUnverified, redirectTrusted, redirectNever },
  });
  const federation = createFederation({ deps, parts, cosigning, hosts }, repeats);
  const packages = createChangedPackages(stores.metadata);
  return createNpmHandler({
    ...{ ...registry, blobs: stores.blobs, tarballs, doors },
    canonicalRegistry: withoutSlash(canonicalRegistry),
    passthrough: createPassthrough({ upstream, timeoutMs: times.passTimeoutMs, now }),
    federation: (incoming, path, query, door) =>
      path[0] === 'route' ? routePage(incoming, path.slice(1), door, tarballs) : federation(incoming, path, query),
    changes: createChanges({ packages, docs: createChangeDocs({ index, forms }), bell: changed }),
    home: createHome({
      ...{ hosts, packages, cosignatures: cosigning.cosignatures, version, guard: registry.guard },
      ...{ vkey: parts.keys.log.vkey, cosigner: parts.keys.cosigner.name },
    }),
    healthz: async () => healthAnswer(registry, hosts, stores.failure()),
    metrics: () => metricsAnswer(metrics),
  });
}

function createFederation(
  { deps, parts, cosigning, hosts }: Pick<Answering, 'deps' | 'parts' | 'cosigning' | 'hosts'>,
  repeats: RepeatWindow,
): FederationRoutes {
  const { stores, keys, registry, metrics, now } = parts;
  const { note: checkpoint, witnessed } = cosigning.cosignatures;
  return createFederationRoutes({
    ...{ hosts, keys, blobs: stores.blobs, forms: registry.forms, witnessed, metrics, now },
    openTarball: (sha512) => registry.tarballs.byHash(sha512),
    measured: (sha512) => registry.tarballs.measured(sha512),
    spend: (network, bytes) => repeats.spend(network, bytes, now()),
    avoid: (network, hostId) => repeats.avoid(network, hostId, now()),
    logAnswers: createLogAnswers({ metadata: stores.metadata, checkpoint }),
    gossip: createGossip({ ...registry, logger: deps.logger }),
  });
}

async function openAdmin({ dir, stores, registry }: Parts, hosts: Hosts, cleanups: Cleanups): Promise<void> {
  const { log, packages } = registry;
  const verify = () => verifyStores(stores, async () => log.checkpoint()?.checkpoint ?? null);
  const admin = await serveAdmin(dir, createAdminHandler({ hosts, packages, verify }));
  cleanups.push(() => admin.close());
}

async function openOriginCosigning(
  { policy }: OriginConfig,
  deps: OriginDeps,
  { keys, stores, registry, metrics, now }: Parts,
  cleanups: Cleanups,
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
