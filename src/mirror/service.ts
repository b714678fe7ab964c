/** A federated server: pulls the blobs that clients are sent here for, checks them, keeps them, gives them out. */

import type { FeedEvent } from '../core/event-stream.ts';
import type { MirrorSettings } from '../core/role-config.ts';
import { createLogAnswers } from '../door/log-answers.ts';
import { serveAdmin } from '../io/admin-socket.ts';
import type { BlobId } from '../io/blob-store.ts';
import { type BlobTally, createBlobTally } from '../io/blob-tally.ts';
import { openDataDir } from '../io/data-dir.ts';
import { createHttpClient, type HttpClient, type HttpClientOptions } from '../io/http-client.ts';
import { createHttpServer } from '../io/http-server.ts';
import { type HostKeys, openHostKeys } from '../io/key-file.ts';
import type { Logger } from '../io/logger.ts';
import { createMetrics, type Metrics } from '../io/metrics.ts';
import { type ScrubRate, startScrubber } from '../io/scrubber.ts';
import { type MirrorStores, openMirrorStores } from '../io/stores.ts';
import { mirrorCheckpoint } from '../io/verify-stores.ts';
import { createAdminHandler } from './admin.ts';
import { createBlobFetcher, FETCH_TIMES } from './fetch-blob.ts';
import { createHeadFetcher } from './fetch-head.ts';
import { createGossip, type Gossip } from './gossip.ts';
import { type HeldList, openHeldList } from './held-list.ts';
import type { HeldLogStep } from './held-log.ts';
import { listenToFeed } from './listen.ts';
import type { LogFollower } from './log-follower.ts';
import { createMembership, type MembershipState, RETRY_TIMES, type RetryTimes } from './membership.ts';
import { openMirrorDoor } from './open-door.ts';
import { LOG_TIMES, type LogTimes, openLogFollower } from './open-log.ts';
import { type OriginTrust, openOriginTrust } from './origin-keys.ts';
import { passOn, restOf } from './pass-on.ts';
import type { FetchTimes, Pull } from './pull-blob.ts';
import { createMirrorRoutes } from './routes.ts';
import { createBlobServer } from './serve-blob.ts';

export type MirrorConfig = MirrorSettings & {
  /** Default false: the host appears in the log and in the list of hosts. */
  readonly private?: boolean;
  /** Who runs it, for the origin's admin to read. */
  readonly operator?: string | null;
  /** CIDRs of proxies whose `X-Forwarded-For` is believed. */
  readonly trustProxy?: readonly string[];
  /**
   * Base URL of an organisation's own registry, kept by this mirror; null for a host of the public pool. A mirror with a
   * door serves its own people only: it does not apply as a host.
   */
  readonly door?: string | null;
  /** For how long what the origin said of a package is served without asking again; only with a door. */
  readonly freshnessMs?: number;
  /** Bytes of disk for blobs; null or left out: no bound. */
  readonly diskBudgetBytes?: number | null;
};

export type MirrorDeps = {
  readonly logger: Logger;
  /** Name and version of this software, such as `open-registry/0.1.0`. */
  readonly software: string;
  /** Proxies and certificates. An operator names its own origin and peers, so private addresses are allowed. */
  readonly http?: Partial<HttpClientOptions>;
  /** Unix ms. */
  readonly now?: () => number;
  readonly fetchTimes?: FetchTimes;
  readonly retryTimes?: RetryTimes;
  readonly logTimes?: Partial<LogTimes>;
  readonly scrubRate?: ScrubRate;
  /** Told of each step, for tests that stop the process between two of them. */
  readonly step?: (name: HeldLogStep) => void;
};

export type RunningMirror = {
  /** Base URL by which it is known. */
  readonly url: string;
  readonly port: number;
  readonly hostId: string;
  state(): MembershipState;
  readonly follower: LogFollower;
  /** Lets answers finish, stops fetching, frees the data directory. */
  close(): Promise<void>;
};

/**
 * Starts a mirror: resolves when it listens and has asked its origin for its keys once. An origin that is away is no
 * error: what is held is served, and the origin is tried again.
 * @throws UsageError, ConflictError for a data directory or configuration that can't be run; SignatureError for an origin
 * that is not the expected one
 */
export async function startMirror(config: MirrorConfig, deps: MirrorDeps): Promise<RunningMirror> {
  const cleanups: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (let cleanup = cleanups.pop(); cleanup; cleanup = cleanups.pop()) await cleanup();
  };
  try {
    const opened = await open(config, deps, cleanups);
    return { ...(await serve(config, deps, opened, cleanups)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

type Opened = {
  readonly dir: string;
  readonly stores: MirrorStores;
  readonly keys: HostKeys;
  /** Tells the origin and the peers of our checkpoint. */
  readonly client: HttpClient;
  readonly gossip: Gossip;
  readonly trust: OriginTrust;
  readonly list: HeldList;
  readonly metrics: Metrics;
  readonly tally: BlobTally;
};

async function open(config: MirrorConfig, deps: MirrorDeps, cleanups: (() => Promise<void>)[]): Promise<Opened> {
  const { dir, close: closeDir } = await openDataDir(config.data, 'mirror');
  cleanups.push(closeDir);
  const metrics = createMetrics('mirror');
  const tally = createBlobTally(metrics);
  const onBroken = (err: Error) => deps.logger.fatal({ err }, 'a database is broken; restart this server');
  const cache = {
    bytesMax: config.diskBudgetBytes ?? null,
    note: tally.note,
    onBroken,
    ...(deps.now ? { now: deps.now } : {}),
  };
  const stores = await openMirrorStores(dir, Boolean(config.door), cache);
  cleanups.push(() => stores.close());
  const { origin, originKey, peers } = config;
  const gossip = createGossip([origin, ...peers]);
  const client = gossip.client(createHttpClient({ userAgent: deps.software, allowPrivate: true, ...deps.http }));
  cleanups.push(() => client.close());
  const keys = await openHostKeys(dir);
  const isRetired = async (vkey: string) =>
    (await stores.index.scan('log-key', '')).some(({ row }) => row.previous === vkey);
  const trust = await openOriginTrust({ dir, origin, originKey, client, isRetired });
  const list = await openHeldList({ dir, origin, client, keys: trust.current() });
  return { dir, stores, keys, client, gossip, trust, list, metrics, tally };
}

/** Listens first: the origin asks for a proof of the URL before it admits the host. */
async function serve(
  config: MirrorConfig,
  deps: MirrorDeps,
  { dir, stores, keys, client, gossip, trust, list, metrics, tally }: Opened,
  cleanups: (() => Promise<void>)[],
): Promise<Omit<RunningMirror, 'close'>> {
  const { logger, now = Date.now, retryTimes = RETRY_TIMES } = deps;
  const { blobs } = stores;
  const { origin, peers } = config;
  tally.count(blobs, (err) => logger.warn({ err }, 'what is stored could not be counted'));
  const times = deps.fetchTimes ?? FETCH_TIMES;
  const pulling = { client, origin, peers, logger, metrics, times };
  const fetcher = createBlobFetcher({ ...pulling, blobs });
  const stopping = new AbortController();
  const follower = await openLogFollower({
    ...{ dir, index: stores.index, origin, peers, client, trust, logger, metrics, now, random: Math.random },
    times: { ...LOG_TIMES, ...deps.logTimes },
    signal: stopping.signal,
    ...(deps.step ? { step: deps.step } : {}),
  });
  gossip.attach(follower);
  const lastEventId = () => (follower.checkpoint() ? `${follower.size()}` : null);
  const passing = {
    whole: (id: BlobId, sources: readonly string[]) => passOn(pulling, id, sources, stopping.signal),
    restOf: (pull: Pull, start: number) => restOf(pulling, pull, start, [...peers, origin], stopping.signal),
  };
  const server = createBlobServer({ blobs, fetcher, passing, list, origin, peers, logger, metrics });
  let url = '';
  const membership = createMembership({
    origin,
    client,
    keys,
    trust,
    list,
    application: () => ({
      url,
      private: config.private ?? false,
      operator: config.operator ?? null,
      software: deps.software,
    }),
    heartbeat: () => ({ url, stored: tally.stored(), failures: server.failures() }),
    lastEventId,
    checkpoint: (note) => follower.hint(note, origin),
    logger,
    now,
    times: retryTimes,
  });
  const takeEvent = ({ event, data }: FeedEvent) => {
    if (event === 'checkpoint') follower.hint(data, origin);
  };
  const { failure } = stores;
  const logAnswers = createLogAnswers({
    metadata: stores.index,
    checkpoint: () => follower.checkpoint()?.note ?? null,
  });
  const routes = createMirrorRoutes({
    ...{ keys, url: () => url, membership, list, trust, follower, logAnswers, blobs: server, failure, metrics, now },
  });
  let port = 0;
  const { door } = config;
  const heads = stores.door && createHeadFetcher({ blobs: stores.door.blobs, client, sources: [...peers, origin] });
  const doorParts = { config, dir, client, follower, tarballs: blobs, blobs: server, routes, logger, metrics, now };
  const handler =
    door && stores.door && heads
      ? openMirrorDoor({ ...doorParts, door, stores: stores.door, heads, port: () => port }, cleanups)
      : routes;
  const http = createHttpServer({
    ...{ role: 'mirror', logger, metrics, trustProxy: config.trustProxy ?? [] },
    handler: gossip.handler(handler),
  });
  cleanups.push(() => follower.close());
  cleanups.push(() => fetcher.close());
  const rotten = async (id: BlobId) => fetcher.join(id, [...peers, origin])?.landed;
  const scrubber = startScrubber({ store: blobs, rate: deps.scrubRate, rotten, logger, metrics, now });
  cleanups.push(() => scrubber.close());
  cleanups.push(async () => stopping.abort(new Error('the mirror is stopping')));
  cleanups.push(() => http.close());
  // Before the server: whoever waits for a blob is sent back at once, and whoever has got some of it gets the rest.
  cleanups.push(async () => fetcher.refuse());
  port = await http.listen(config.host, config.port);
  url = config.publicUrl ?? boundUrl(config.host, port);
  const admin = await serveAdmin(dir, createAdminHandler(stores, mirrorCheckpoint(dir, stores.index)));
  cleanups.push(() => admin.close());
  cleanups.push(() => membership.close());
  if (!config.door) await membership.start();
  else void listenToFeed({ client, origin, lastEventId, event: takeEvent, times: retryTimes, signal: stopping.signal });
  follower.start();
  return { url, port, hostId: keys.hostId, state: () => membership.state(), follower };
}

/** Never `localhost`: a mirror's host name must differ from that of every door, and that is the usual door here. */
function boundUrl(host: string, port: number): string {
  const name = host === 'localhost' || host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
