/** Opens all that an origin is made of behind its server: data directory, stores, keys, upstream, registry. */
import { openKeysNote } from '../core/keys-note.ts';
import { createBlobTally } from '../io/blob-tally.ts';
import { openDataDir } from '../io/data-dir.ts';
import { createHttpClient } from '../io/http-client.ts';
import { newVia } from '../io/http-server.ts';
import { type OriginKeys, openOriginKeys } from '../io/key-file.ts';
import { createMetrics, type Metrics } from '../io/metrics.ts';
import { startScrubber } from '../io/scrubber.ts';
import { SharedBudget } from '../io/shared-budget.ts';
import { type OriginStores, openOriginStores } from '../io/stores.ts';
import { createUpstream, type Upstream } from '../io/upstream.ts';
import { settleLogKey } from './log/rotate-log-key.ts';
import type { Cleanups, OriginConfig, OriginDeps } from './options.ts';
import { openRegistry, type Registry } from './registry.ts';
import { settleUpstream } from './settle-upstream.ts';

/** The keys note is from before there was such a key, and only the root key can renew it. */
const UNCERTIFIED_COSIGNER =
  'the keys note does not name the cosigner key: put keys/root.key back for one start, or run: open-registry keys rotate';

export type Parts = {
  readonly dir: string;
  readonly stores: OriginStores;
  readonly keys: OriginKeys;
  readonly upstream: Upstream;
  readonly registry: Registry;
  readonly metrics: Metrics;
  /** What this server calls itself in `Via`, by which it knows its own requests. */
  readonly via: string;
  /** Unix ms. */
  readonly now: () => number;
};

/** @param cleanups gets what has to be closed after the server, the last one first */
export async function openParts(config: OriginConfig, deps: OriginDeps, cleanups: Cleanups): Promise<Parts> {
  const { logger } = deps;
  const { dir, close } = await openDataDir(config.data, 'origin');
  cleanups.push(close);
  const metrics = createMetrics('origin');
  const tally = createBlobTally(metrics);
  const onBroken = (err: Error) => logger.fatal({ err }, 'a database is broken; restart this server');
  const budget = config.diskBudgetBytes ? new SharedBudget(config.diskBudgetBytes) : null;
  const stores = await openOriginStores(dir, { budget, note: tally.note, onBroken });
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
  const common = { dir, stores, budget, keys, upstream, logger, metrics, now };
  const registry = await openRegistry({ ...common, freshnessMs, neverAsk, times, step });
  idle = registry.idle;
  // What has rotted is gone until it is asked for again, and then fetched.
  const rotten = async () => undefined;
  const scrubber = startScrubber({ store: stores.tarballs, rate: deps.scrubRate, rotten, logger, metrics, now });
  cleanups.push(() => scrubber.close());
  return { dir, stores, keys, upstream, registry, metrics, via, now };
}

export const userAgent = ({ version }: OriginDeps): string => `open-registry/${version}`;

/** Unix ms that a correction of the machine's clock does not move: what is due and what repeats must not jump. */
function monotonicNow(): () => number {
  const start = Date.now() - performance.now();
  return () => Math.floor(start + performance.now());
}
