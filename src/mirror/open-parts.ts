/** Opens all that a mirror is made of behind its server: log, cosignatures, blobs, packages, withdrawals. */
import { readPolicyFile } from '../io/policy-file.ts';
import { type Blobs, openBlobs } from './blobs/open-blobs.ts';
import { openTombstones, type Tombstones } from './blobs/tombstones.ts';
import { type MirrorCosigning, openMirrorCosigning } from './cosigning/cosigning.ts';
import type { LogFollower } from './log/log-follower.ts';
import { LOG_TIMES, openLogFollower } from './log/open-log.ts';
import type { Basics } from './open-basics.ts';
import type { Cleanups, MirrorConfig, MirrorDeps } from './options.ts';
import { openPackages, type Packages } from './packages/open-packages.ts';
import { openWithdrawals } from './withdrawals/open-withdrawals.ts';
import type { Withdrawals } from './withdrawals/withdrawals.ts';

export type Parts = Blobs & {
  readonly follower: LogFollower;
  readonly cosigning: MirrorCosigning;
  readonly tombstones: Tombstones;
  /** Null for a mirror that gives out blobs only. */
  readonly packages: Packages | null;
  readonly withdrawals: Withdrawals;
};

/** @param cleanups gets what has to be closed after the server */
export async function openParts(
  config: MirrorConfig,
  deps: MirrorDeps,
  basics: Basics,
  cleanups: Cleanups,
): Promise<Parts> {
  const { stores, gossip, stopping } = basics;
  const common = { ...basics, index: stores.index, blobs: stores.blobs, signal: stopping.signal };
  const { step, fetchTimes: times, scrubRate, withdrawalPauses: pauses } = deps;
  const steps = step ? { step } : {};
  const { follower, cosigning } = await openLog(config, deps, basics, cleanups);
  gossip.attach(follower);
  const tombstones = await openTombstones({ ...common, ...steps });
  const blobs = openBlobs({ ...common, tombstones, times, scrubRate }, cleanups);
  const packages = stores.door && openPackages({ ...common, ...steps, stores: stores.door }, cleanups);
  const pausing = pauses ? { pauses } : {};
  const withdrawals = await openWithdrawals({ ...common, tombstones, follower, ...pausing }, cleanups);
  return { ...blobs, follower, cosigning, tombstones, packages, withdrawals };
}

/** The follower asks the policy before it serves a checkpoint; the cosigners say what it serves. */
async function openLog(
  config: MirrorConfig,
  { logTimes, cosigningTimes, step }: MirrorDeps,
  basics: Basics,
  cleanups: Cleanups,
): Promise<Pick<Parts, 'follower' | 'cosigning'>> {
  const { stores, keys, stopping } = basics;
  const common = { ...basics, index: stores.index, signal: stopping.signal };
  const cosigning = await openMirrorCosigning({
    ...{ ...common, hostId: keys.hostId, follower: () => follower },
    policy: config.policy ? await readPolicyFile(config.policy) : null,
    times: cosigningTimes,
  });
  const times = { ...LOG_TIMES, ...logTimes };
  const { admission } = cosigning;
  const steps = step ? { step } : {};
  const follower = await openLogFollower({ ...common, admission, times, random: Math.random, ...steps });
  cleanups.push(() => follower.close());
  cleanups.push(() => cosigning.close());
  return { follower, cosigning };
}
