/**
 * What this mirror says of checkpoints, and what it asks of them: its two cosigners (one for what it holds, one for what
 * it is shown), the operator's policy, and how old the newest checkpoint is.
 */

import { text } from '../../core/bytes.ts';
import type { CheckpointAge } from '../../core/checkpoint-age.ts';
import type { LogKeys } from '../../core/cosigned.ts';
import { mirrorKeyName, witnessKeyName } from '../../core/host-keys.ts';
import { logNameOf } from '../../core/keys-note.ts';
import { CHECKPOINT_BYTES_MAX } from '../../core/limits.ts';
import type { CosignedByHost } from '../../core/membership.ts';
import { checkPolicyLog } from '../../core/policy-check.ts';
import type { Policy } from '../../core/tlog-policy.ts';
import { openCosigner } from '../../io/cosigner.ts';
import type { HttpClient } from '../../io/http-client.ts';
import { openCosignerKey } from '../../io/key-file.ts';
import type { Logger } from '../../io/logger.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import type { Metrics } from '../../io/metrics.ts';
import { storedHashes } from '../../io/stored-tree.ts';
import { type Admission, createAdmission } from '../log/admission.ts';
import type { LogFollower } from '../log/log-follower.ts';
import type { OriginTrust } from '../membership/origin-keys.ts';
import { createAgeWatch } from './age-watch.ts';
import { COSIGNER_TIMES, type CosignerTimes, createMirrorCosigner, type MirrorCosigner } from './cosigner.ts';
import { createShownCheckpoint } from './shown-checkpoint.ts';
import { createWitness, type Witness } from './witness.ts';

export type MirrorCosigning = {
  readonly admission: Admission;
  readonly witness: Witness;
  /** The checkpoint with its cosignatures, as it is served; null while none is held. */
  note(): string | null;
  /** What the origin is told in heartbeats; null before the first. */
  cosigned(): CosignedByHost | null;
  /** Vkeys of this mirror's cosigners. */
  readonly cosigner: string;
  readonly witnessKey: string;
  health(): CosigningHealth;
  /**
   * Begins to cosign what the follower serves.
   * @param moved told when another checkpoint than before was cosigned
   * @throws UsageError for a policy that is about another log
   */
  start(moved: () => void): Promise<void>;
  close(): Promise<void>;
};

export type CosigningHealth = {
  /** The newest one that is held, and how old it is; null while none is. */
  readonly checkpoint: CheckpointAge | null;
  /** What the policy waits for; null while it does not. */
  readonly heldBack: string | null;
  /** Vkeys (signature type 0x04). */
  readonly cosigner: string;
  readonly witness: string;
};

export type MirrorCosigningDeps = {
  readonly dir: string;
  readonly hostId: string;
  readonly index: MetadataStore;
  readonly origin: string;
  readonly client: Pick<HttpClient, 'request'>;
  readonly trust: Pick<OriginTrust, 'current'>;
  readonly policy: Policy | null;
  /** Called once it is open: it needs the admission that is made here. */
  readonly follower: () => LogFollower;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Unix ms. */
  readonly now: () => number;
  readonly times?: Partial<CosignerTimes> | undefined;
};

const NOTE_TIMEOUT_MS = 5_000;

export async function openMirrorCosigning(deps: MirrorCosigningDeps): Promise<MirrorCosigning> {
  const { dir, hostId, index, trust, policy, follower, logger, now } = deps;
  const cosignerKey = await openCosignerKey(dir, 'cosigner.key', mirrorKeyName(hostId));
  const witnessKey = await openCosignerKey(dir, 'witness.key', witnessKeyName(hostId));
  const cosigner = await openCosigner(dir, 'mirror', cosignerKey, now);
  const witnessCosigner = await openCosigner(dir, 'witness', witnessKey, now);
  let own: MirrorCosigner | null = null;

  const keys = (): LogKeys | null => keysOf(trust);
  const timekeepers = (): string[] => {
    const own = trust.current()?.cosigner;
    return [...(own ? [own] : []), ...(policy?.witnesses ?? []).map(({ vkey }) => vkey)];
  };
  const admission = createAdmission({
    ...{ policy, keys, cosigners: timekeepers, random: Math.random },
    again: () => void lookAgain(deps, admission).catch((err) => logger.debug({ err }, 'no witnessed checkpoint yet')),
  });
  const shown = createShownCheckpoint({
    served: () => follower().checkpoint(),
    own: () => own?.latest() ?? null,
    ...{ timekeepers, entryTime: () => follower().time(), now },
  });
  showAge(deps.metrics, shown.age);

  const lookAround = () =>
    void follower()
      .catchUp()
      .catch(() => undefined);
  const watch = createAgeWatch(shown.age, lookAround, logger);

  return {
    admission,
    witness: createWitness({ cosigner: witnessCosigner, log: keys }),
    note: shown.note,
    cosigned() {
      const latest = own?.latest();
      return latest ? { cosigner: cosigner.vkey, checkpoint: latest.note } : null;
    },
    cosigner: cosigner.vkey,
    witnessKey: witnessKey.vkey,
    health: () => ({
      ...{ checkpoint: shown.age(), heldBack: admission.lacking() },
      ...{ cosigner: cosigner.vkey, witness: witnessKey.vkey },
    }),
    async start(moved) {
      const known = trust.current();
      if (policy && known) checkPolicyLog(policy, known.log);
      const hashes = (size: number) => storedHashes(index, size);
      own = createMirrorCosigner({
        ...{ cosigner, follower: follower(), hashes, moved, logger },
        times: { ...COSIGNER_TIMES, ...deps.times },
      });
      own.start();
      watch.start();
    },
    async close() {
      watch.close();
      admission.close();
      await own?.close();
    },
  };
}

/** Under load the newest checkpoint is never witnessed yet; its origin keeps the newest one that is. */
async function lookAgain({ origin, client, follower }: MirrorCosigningDeps, admission: Admission): Promise<void> {
  const log = follower();
  await log.catchUp().catch(() => undefined);
  if (admission.lacking() === null) return;
  const { status, body } = await client.request(`${origin}/-/federation/checkpoint/witnessed`, {
    ...{ maxBytes: CHECKPOINT_BYTES_MAX, totalTimeoutMs: NOTE_TIMEOUT_MS },
  });
  const note = status === 200 ? text(body, 'checkpoint') : null;
  if (note !== null && Number(note.split('\n', 2)[1]) > log.size()) log.hint(note, origin);
}

function keysOf(trust: Pick<OriginTrust, 'current'>): LogKeys | null {
  const keys = trust.current();
  return keys && { name: logNameOf(keys), vkeys: [keys.log] };
}

function showAge(metrics: Metrics, age: () => CheckpointAge | null): void {
  metrics.gauge('checkpoint_age_seconds', 'Since the served checkpoint was last said to be the newest', [], (gauge) =>
    gauge.set(age()?.ageSeconds ?? -1),
  );
}
