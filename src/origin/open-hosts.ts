/** Opens the keeping of hosts, with what it is judged by: what they hold, and what they still serve after a withdrawal. */
import type { RepeatWindow } from '../core/repeats.ts';
import { createHttpClient } from '../io/http-client.ts';
import type { Cosigning } from './cosigning/cosigning.ts';
import { createHosts, type Hosts, type HostsDeps } from './hosts/hosts.ts';
import { createWithdrawalJudge } from './hosts/withdrawal-judge.ts';
import { type Parts, userAgent } from './open-parts.ts';
import type { Cleanups, OriginConfig, OriginDeps } from './options.ts';
import { lookable } from './tarballs/lookable.ts';
import { openWithdrawnTarballs } from './tarballs/withdrawn-tarballs.ts';

export async function openHosts(
  {
    config,
    deps,
    parts,
    cosigning,
    repeats,
    doors,
  }: {
    readonly config: OriginConfig;
    readonly deps: OriginDeps;
    readonly parts: Parts;
    readonly cosigning: Cosigning;
    readonly repeats: RepeatWindow;
    readonly doors: HostsDeps['doors'];
  },
  cleanups: Cleanups,
): Promise<Hosts> {
  const { logger, isOwnHost = () => false } = deps;
  const { stores, keys, registry, metrics, now } = parts;
  const { allowPrivate } = config;
  const trusted = new Set(config.trustedHosts);
  const { probeIntervalMs } = deps.times ?? {};
  const { behindMs } = deps.cosigningTimes ?? {};
  const client = createHttpClient({ userAgent: userAgent(deps), allowPrivate });
  cleanups.push(() => client.close());
  const withdrawn = await openWithdrawnTarballs({
    ...{ ...registry, metadata: stores.metadata, store: stores.tarballs, logger },
  });
  cleanups.push(() => withdrawn.close());
  const hosts = await createHosts({
    ...{ store: stores.metadata, log: registry.log, keys, cosignatures: cosigning.cosignatures },
    ...{ doors, allowPrivate, isOwnHost, client, logger, metrics, now },
    avoidedBy: () => repeats.avoidedBy(now()),
    isTrustedHost: (hostId) => isOwnHost(hostId) || trusted.has(hostId),
    withdrawals: createWithdrawalJudge({ ...withdrawn, logger, metrics, now, random: Math.random }),
    pickBlob: async (doubted) =>
      (doubted === null ? null : await lookable(doubted, { metadata: stores.metadata, tarballs: registry.tarballs })) ??
      registry.tarballs.recent(),
    ...(probeIntervalMs === undefined ? {} : { probeIntervalMs }),
    ...(behindMs === undefined ? {} : { behindMs }),
  });
  cleanups.push(() => hosts.close());
  return hosts;
}
