/** How far hosts have followed the log, by what they cosigned: who is too far behind may not know what was withdrawn. */
import { BEHIND_MS, Outgrown } from '../../core/checkpoint-age.ts';
import type { CosignedByHost } from '../../core/membership.ts';
import type { Logger } from '../../io/logger.ts';
import type { Metrics } from '../../io/metrics.ts';
import type { Cosignatures } from '../cosigning/cosignatures.ts';

export type HostProgress = {
  /** The log has so many entries now. */
  grown(size: number): void;
  /**
   * Takes in what a host shows. Never rejects: what is wrong with it is for an admin to look into.
   * @returns whether it fell behind or came back by that
   */
  take(hostId: string, said: CosignedByHost): Promise<boolean>;
  /** Entries of the newest checkpoint that it has shown to hold; null before the first. */
  heldBy(hostId: string): number | null;
  /** The log has outgrown that minutes ago. A host that has shown none is not judged. */
  isBehind(hostId: string): boolean;
  /** In ms from now: hosts fall behind without anything happening, and so late it may be noticed. */
  readonly lookMs: number;
};

export type HostProgressDeps = {
  /** Left out: how far hosts have come is not known, and nothing is decided by it. */
  readonly cosignatures?: Pick<Cosignatures, 'take' | 'heldBy'> | undefined;
  /** Default {@link BEHIND_MS}. */
  readonly behindMs?: number | undefined;
  /** Ms of a clock that never jumps. */
  readonly monotonic: () => number;
  readonly logger: Logger;
  readonly metrics: Metrics;
};

export function createHostProgress(deps: HostProgressDeps): HostProgress {
  const { cosignatures, behindMs = BEHIND_MS, monotonic, logger, metrics } = deps;
  const outgrown = new Outgrown(behindMs);

  function isBehind(hostId: string): boolean {
    const size = cosignatures?.heldBy(hostId) ?? null;
    const since = size === null ? null : outgrown.since(size);
    return since !== null && monotonic() - since > behindMs;
  }

  function refused(host: string, err: unknown): void {
    metrics
      .counter('host_cosignatures_refused_total', 'Checkpoints of hosts that were not what they should be', ['host'])
      .inc({ host });
    logger.warn({ host, err }, 'what the host cosigned was not taken in');
  }

  return {
    grown: (size) => outgrown.note(size, monotonic()),
    async take(hostId, said) {
      const wasBehind = isBehind(hostId);
      await cosignatures?.take(hostId, said).catch((err) => refused(hostId, err));
      return isBehind(hostId) !== wasBehind;
    },
    heldBy: (hostId) => cosignatures?.heldBy(hostId) ?? null,
    isBehind,
    lookMs: behindMs / 10,
  };
}
