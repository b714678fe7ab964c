/** Opens what everything else of a mirror is opened over: data directory, stores, keys, and what it believes of its origin. */
import { type BlobTally, createBlobTally } from '../io/blob-tally.ts';
import { openDataDir } from '../io/data-dir.ts';
import { createHttpClient, type HttpClient } from '../io/http-client.ts';
import { type HostKeys, openHostKeys } from '../io/key-file.ts';
import type { Logger } from '../io/logger.ts';
import { createMetrics, type Metrics } from '../io/metrics.ts';
import { SharedBudget } from '../io/shared-budget.ts';
import { type MirrorStores, openMirrorStores } from '../io/stores.ts';
import { createGossip, type Gossip } from './gossip.ts';
import { type HeldList, openHeldList } from './membership/held-list.ts';
import { type OriginTrust, openOriginTrust } from './membership/origin-keys.ts';
import type { Cleanups, MirrorConfig, MirrorDeps } from './options.ts';

/** What everything else is opened over. */
export type Basics = {
  readonly dir: string;
  readonly stores: MirrorStores;
  /** Null: no bound. */
  readonly budget: SharedBudget | null;
  readonly keys: HostKeys;
  /** Tells the origin and the peers of our checkpoint. */
  readonly client: HttpClient;
  readonly gossip: Gossip;
  readonly trust: OriginTrust;
  readonly list: HeldList;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly tally: BlobTally;
  /** Unix ms. */
  readonly now: () => number;
  readonly origin: string;
  readonly peers: readonly string[];
  /** Base URLs that content is asked of, in order: peers before the origin. */
  readonly sources: readonly string[];
  /** Aborts when the mirror stops. */
  readonly stopping: AbortController;
};

/** @param cleanups gets what has to be closed at the very end */
export async function openBasics(config: MirrorConfig, deps: MirrorDeps, cleanups: Cleanups): Promise<Basics> {
  const { dir, close: closeDir } = await openDataDir(config.data, 'mirror');
  cleanups.push(closeDir);
  const { logger, now = Date.now } = deps;
  const metrics = createMetrics('mirror');
  const tally = createBlobTally(metrics);
  const onBroken = (err: Error) => logger.fatal({ err }, 'a database is broken; restart this server');
  const budget = config.diskBudgetBytes ? new SharedBudget(config.diskBudgetBytes) : null;
  const cache = { budget, note: tally.note, onBroken, now };
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
  tally.count(stores.blobs, (err) => logger.warn({ err }, 'what is stored could not be counted'));
  const opened = { dir, stores, budget, keys, client, gossip, trust, list, logger, metrics, tally, now };
  return { ...opened, origin, peers, sources: [...peers, origin], stopping: new AbortController() };
}

function keepsPackages({ door, replicate = [] }: MirrorConfig): boolean {
  return Boolean(door) || replicate.length > 0;
}
