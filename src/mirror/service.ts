/** A federated server: pulls the blobs that clients are sent here for, checks them, keeps them, gives them out. */

import type { MirrorSettings } from '../core/role-config.ts';
import { createLogAnswers } from '../door/log-answers.ts';
import { serveAdmin } from '../io/admin-socket.ts';
import { type BlobTally, createBlobTally } from '../io/blob-tally.ts';
import { openDataDir } from '../io/data-dir.ts';
import { createHttpClient, type HttpClient, type HttpClientOptions } from '../io/http-client.ts';
import { createHttpServer } from '../io/http-server.ts';
import { type HostKeys, openHostKeys } from '../io/key-file.ts';
import type { Logger } from '../io/logger.ts';
import { createMetrics, type Metrics } from '../io/metrics.ts';
import { readPolicyFile } from '../io/policy-file.ts';
import type { ScrubRate } from '../io/scrubber.ts';
import { type MirrorStores, openMirrorStores } from '../io/stores.ts';
import { mirrorCheckpoint } from '../io/verify-stores.ts';
import { createAdminHandler } from './admin.ts';
import { openMirrorCosigning } from './cosigning.ts';
import { createGossip, type Gossip } from './gossip.ts';
import { type HeldList, openHeldList } from './held-list.ts';
import type { HeldLogStep } from './held-log.ts';
import { listenToFeed } from './listen.ts';
import type { LogFollower } from './log-follower.ts';
import { createMembership, type MembershipState, RETRY_TIMES, type RetryTimes } from './membership.ts';
import { openBlobs } from './open-blobs.ts';
import { openMirrorDoor } from './open-door.ts';
import { LOG_TIMES, type LogTimes, openLogFollower } from './open-log.ts';
import { openPackages } from './open-packages.ts';
import { openWithdrawals } from './open-withdrawals.ts';
import { type OriginTrust, openOriginTrust } from './origin-keys.ts';
import type { FetchTimes } from './pull-blob.ts';
import { REPLICATION_PAUSES_MS, startReplication } from './replicate.ts';
import { createMirrorRoutes } from './routes.ts';
import { openTombstones, type TombstoneStep } from './tombstones.ts';
import type { Pauses } from './withdrawals.ts';

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
  /** Path of a C2SP tlog-policy that checkpoints must satisfy; null or left out: the log's signature is enough. */
  readonly policy?: string | null;
  /** Patterns of names whose packages are fetched ahead, with their tarballs; `*` for all. None by default. */
  readonly replicate?: readonly string[];
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
  readonly cosigningTimes?: { readonly renewMs?: number; readonly beatPaceMs?: number };
  /** Between attempts to fetch a package ahead. */
  readonly replicationPausesMs?: readonly number[];
  /** Before a withdrawal that could not be carried out is tried again. */
  readonly withdrawalPauses?: Pauses;
  /** Told of each step, for tests that stop the process between two of them. */
  readonly step?: (name: HeldLogStep | TombstoneStep) => void;
};

export type RunningMirror = {
  /** Base URL by which it is known. */
  readonly url: string;
  readonly port: number;
  readonly hostId: string;
  /** Vkeys (signature type 0x04) by which it says what it holds, and what it was shown. */
  readonly cosigner: string;
  readonly witness: string;
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
  const stores = await openMirrorStores(dir, keepsPackages(config), cache);
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
  opened: Opened,
  cleanups: (() => Promise<void>)[],
): Promise<Omit<RunningMirror, 'close'>> {
  const { dir, stores, keys, client, gossip, trust, list, metrics, tally } = opened;
  const { logger, now = Date.now, retryTimes = RETRY_TIMES } = deps;
  const { origin, peers } = config;
  const sources = [...peers, origin];
  const stopping = new AbortController();
  const { signal } = stopping;
  tally.count(stores.blobs, (err) => logger.warn({ err }, 'what is stored could not be counted'));
  const common = { dir, index: stores.index, origin, peers, client, trust, list, logger, metrics, now, signal };

  const { step } = deps;
  const times = { ...LOG_TIMES, ...deps.logTimes };
  const { renewMs, beatPaceMs } = deps.cosigningTimes ?? {};
  const cosigning = await openMirrorCosigning({
    ...{ ...common, hostId: keys.hostId, follower: () => follower },
    policy: config.policy ? await readPolicyFile(config.policy) : null,
    ...(renewMs === undefined ? {} : { renewMs }),
  });
  const { admission } = cosigning;
  const follower = await openLogFollower({
    ...common,
    admission,
    times,
    random: Math.random,
    ...(step ? { step } : {}),
  });
  cleanups.push(() => follower.close());
  cleanups.push(() => cosigning.close());
  gossip.attach(follower);
  const { fetchTimes, scrubRate, withdrawalPauses: pauses } = deps;
  const tombstones = await openTombstones({ ...common, blobs: stores.blobs, ...(step ? { step } : {}) });
  const ofBlobs = { ...common, blobs: stores.blobs, tombstones, times: fetchTimes, scrubRate };
  const { fetcher, server } = openBlobs(ofBlobs, cleanups);
  const packages = stores.door && openPackages({ dir, stores: stores.door, client, sources, logger }, cleanups);
  const withdrawals = await openWithdrawals(
    { ...common, stores, tombstones, follower, sources, ...(pauses ? { pauses } : {}) },
    cleanups,
  );

  const bound = { port: 0, url: '' };
  const lastEventId = () => (follower.checkpoint() ? `${follower.size()}` : null);
  const checkpoint = (note: string) => follower.hint(note, origin);
  // Whether it is the feed or the origin that has gone shows when the log is looked at; peers are asked if it is.
  const ended = () => void follower.catchUp().catch(() => undefined);
  const news = { client, origin, lastEventId, checkpoint, ended, times: retryTimes };
  const membership = createMembership({
    ...{ ...news, keys, trust, list, logger, now },
    application: () => ({ ...applicationOf(config), url: bound.url, software: deps.software }),
    heartbeat: () => {
      const cosigned = cosigning.cosigned();
      const said = { url: bound.url, stored: tally.stored(), failures: server.failures() };
      return cosigned ? { ...said, cosigned } : said;
    },
    ...(beatPaceMs === undefined ? {} : { beatPaceMs }),
  });
  const logAnswers = createLogAnswers({
    metadata: stores.index,
    checkpoint: cosigning.note,
  });
  const routes = createMirrorRoutes({
    ...{ keys, membership, list, trust, follower, withdrawals, cosigning, metrics, now },
    ...{ logAnswers, blobs: server, packages },
    url: () => bound.url,
    failure: stores.failure,
  });
  const { door } = config;
  const atDoor = { ...common, config, follower, tarballs: stores.blobs, tombstones, blobs: server, routes };
  const handler = gossip.handler(
    door && packages ? openMirrorDoor({ ...atDoor, door, packages, port: () => bound.port }) : routes,
  );
  const http = createHttpServer({ role: 'mirror', logger, metrics, trustProxy: config.trustProxy ?? [], handler });
  cleanups.push(async () => stopping.abort(new Error('the mirror is stopping')));
  cleanups.push(() => http.close());
  // Before the server: whoever waits for a blob is sent back at once, and whoever has got some of it gets the rest.
  cleanups.push(async () => fetcher.refuse());
  bound.port = await http.listen(config.host, config.port);
  bound.url = config.publicUrl ?? boundUrl(config.host, bound.port);
  const admin = await serveAdmin(dir, createAdminHandler(stores, mirrorCheckpoint(dir, stores.index)));
  cleanups.push(() => admin.close());
  cleanups.push(() => membership.close());
  if (door) void listenToFeed({ ...news, signal });
  else await membership.start();
  await cosigning.start(() => membership.beat());
  follower.start();
  if (packages && config.replicate && config.replicate.length > 0) {
    const { diskBudgetBytes: bytesMax = null, replicate: patterns } = config;
    const tarballs = { tarballs: stores.blobs, tombstones, fetcher, sources, bytesMax };
    const parts = { ...common, ...tarballs, packages, follower, patterns };
    const pausesMs = deps.replicationPausesMs ?? REPLICATION_PAUSES_MS;
    const replication = startReplication({ ...parts, stored: () => tally.stored().bytes, pausesMs });
    cleanups.push(replication.close);
  }
  const { cosigner, witnessKey: witness } = cosigning;
  return { ...bound, hostId: keys.hostId, cosigner, witness, state: () => membership.state(), follower };
}

function applicationOf({ private: isPrivate = false, operator = null }: MirrorConfig) {
  return { private: isPrivate, operator };
}

function keepsPackages({ door, replicate = [] }: MirrorConfig): boolean {
  return Boolean(door) || replicate.length > 0;
}

/** Never `localhost`: a mirror's host name must differ from that of every door, and that is the usual door here. */
function boundUrl(host: string, port: number): string {
  const name = host === 'localhost' || host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
