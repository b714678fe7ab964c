/** Opens what follows the log: what is held of it, where it is read from, who tells of news. */
import { join } from 'node:path';
import { createEvidenceFolder } from '../../io/evidence-folder.ts';
import type { HttpClient } from '../../io/http-client.ts';
import type { Logger } from '../../io/logger.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import type { Metrics } from '../../io/metrics.ts';
import type { OriginTrust } from '../membership/origin-keys.ts';
import type { Admission } from './admission.ts';
import { openEvidence } from './evidence.ts';
import { type HeldLogStep, openHeldLog } from './held-log.ts';
import { createLogFollower, FOLLOW_TIMES, type FollowTimes, type LogFollower } from './log-follower.ts';
import { createLogSource, SOURCE_TIMES, type SourceTimes } from './log-source.ts';
import { openUnproven } from './unproven.ts';

/** How often to look, and how long to wait for answers. */
export type LogTimes = FollowTimes & SourceTimes;
export const LOG_TIMES: LogTimes = { ...FOLLOW_TIMES, ...SOURCE_TIMES };

const EVIDENCE_FOLDER = 'evidence';
/** Who showed what was being followed when this mirror ended. */
const BEFORE = 'before the start';

export async function openLogFollower(parts: {
  readonly dir: string;
  readonly index: MetadataStore;
  readonly origin: string;
  readonly peers: readonly string[];
  readonly client: HttpClient;
  readonly trust: OriginTrust;
  readonly admission: Admission;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly now: () => number;
  readonly random: () => number;
  readonly times: LogTimes;
  readonly signal: AbortSignal;
  readonly step?: (name: HeldLogStep) => void;
}): Promise<LogFollower> {
  const { dir, index, origin, peers, client, times, signal, metrics, now } = parts;
  const log = await openHeldLog(index, parts.step);
  const evidence = await openEvidence(createEvidenceFolder(join(dir, EVIDENCE_FOLDER), '.json'));
  const unproven = await openUnproven(index);
  const target = log.target();
  // A crash on the way to it.
  if (target && target.checkpoint.size > log.head().size) await unproven.keep({ seen: target, source: BEFORE });
  const sourceAt = (name: string, url: string) => createLogSource({ name, url, client, times, signal });
  const sources = [sourceAt('origin', origin), ...peers.map((url, at) => sourceAt(`peer ${at + 1}`, url))];
  const { trust, admission, logger, random } = parts;
  const follower = createLogFollower({
    ...{ log, sources, trust, admission, evidence, unproven, logger, metrics, now, random, times, signal },
  });
  metrics.gauge('log_size', 'Entries of the log that are held and shown', [], (it) => it.set(follower.size()));
  metrics.gauge('log_confirmed_seconds', 'Time since a source last showed nothing newer; -1 for never', [], (it) => {
    const confirmed = follower.confirmed();
    it.set(confirmed === null ? -1 : Math.max(0, now() - confirmed) / 1000);
  });
  metrics.gauge('log_split_views', 'Proofs kept that the log’s key signed two histories', [], (it) =>
    it.set(follower.evidence().length),
  );
  return follower;
}
