/** All that gets cosignatures beneath an origin's checkpoints: its own key, its hosts' heartbeats, its policy's witnesses. */

import { proveConsistency } from '../../core/merkle.ts';
import { checkPolicyLog } from '../../core/policy-check.ts';
import type { Policy } from '../../core/tlog-policy.ts';
import type { HttpClient } from '../../io/http-client.ts';
import type { OriginKeys } from '../../io/key-file.ts';
import type { Logger } from '../../io/logger.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import type { Metrics } from '../../io/metrics.ts';
import { storedHashes } from '../../io/stored-tree.ts';
import { everyLogKey } from '../log/fork-guard.ts';
import type { Registry } from '../registry.ts';
import { type Cosignatures, openCosignatures } from './cosignatures.ts';
import { createWitnessClient, type WitnessTimes } from './witness-client.ts';

export type CosigningDeps = {
  readonly keys: OriginKeys;
  readonly metadata: MetadataStore;
  readonly registry: Pick<Registry, 'log' | 'guard'>;
  /** Names the witnesses to ask; null: nobody is asked. */
  readonly policy: Policy | null;
  /** For witnesses, which the operator names: private addresses are allowed. */
  readonly client: HttpClient;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Unix ms. */
  readonly now: () => number;
  readonly times?: CosigningTimes;
};

/** What is left out has its usual value. */
export type CosigningTimes = {
  /** Between two cosignatures of one checkpoint. */
  readonly renewMs?: number;
  readonly witness?: WitnessTimes;
  /** How long ago the log may have outgrown what a host holds. */
  readonly behindMs?: number;
};

export type Cosigning = {
  readonly cosignatures: Cosignatures;
  start(): Promise<void>;
  close(): Promise<void>;
};

/** @throws UsageError for a policy that is about another log, or a key that can't be read */
export async function openCosigning(deps: CosigningDeps): Promise<Cosigning> {
  const { keys, metadata, registry, policy, client, logger, metrics, now, times = {} } = deps;
  const { log, guard } = registry;
  if (policy) checkPolicyLog(policy, keys.log.vkey);
  const logKeys = { name: keys.logName, vkeys: await everyLogKey(metadata, keys.log.vkey) };
  const { renewMs } = times;
  const common = { log, logger, metrics };
  const cosignatures = await openCosignatures({
    ...{ ...common, guard, logKeys, cosigner: keys.cosigner, policy, store: metadata, now },
    ...(renewMs === undefined ? {} : { renewMs }),
  });
  const witnesses = createWitnessClient({
    ...{ ...common, client, witnesses: policy?.witnesses ?? [], random: Math.random },
    prove: (oldSize, size) => proveConsistency(oldSize, size, storedHashes(metadata, size)),
    cosigned: cosignatures.add,
    ...(times.witness ? { times: times.witness } : {}),
  });
  return {
    cosignatures,
    async start() {
      await cosignatures.start();
      witnesses.start();
    },
    async close() {
      await witnesses.close();
      await cosignatures.close();
    },
  };
}
