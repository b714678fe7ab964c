/**
 * Which hosts do not do what the log withdraws: those that have not taken in a withdrawal whose deadline has passed, and
 * those that go on serving what they should have dropped. Both are out of the pool until that changes.
 */
import type { HostWithdrawals } from '../../core/selection.ts';
import type { WithdrawalWatch, WithdrawnTarball } from '../../core/withdrawal-watch.ts';
import type { Logger } from '../../io/logger.ts';
import type { Metrics } from '../../io/metrics.ts';

export type WithdrawalJudge = {
  /** A host showed that it holds so many entries of the log. */
  held(hostId: string, size: number): void;
  /** What to ask a host for now, without a mark; null for nothing this time. */
  question(hostId: string): Promise<WithdrawnTarball | null>;
  /** How the host answered. @returns whether that changes what is held against it */
  answered(hostId: string, asked: WithdrawnTarball, isServed: boolean): boolean;
  /**
   * What is held against a host; null for nothing.
   * @param size of what it has shown to hold; null if it never showed anything
   */
  verdictOn(hostId: string, size: number | null): HostWithdrawals | null;
  /** Until when verdicts stand if nothing happens, unix ms. */
  validUntil(): number;
};

/** Among so many looks at a host, one asks for something withdrawn. One that was caught is asked each time. */
const LOOKS = 5;

/** @param deps `now` in unix ms, never going back; `random` from 0 up to 1 */
export function createWithdrawalJudge(deps: {
  readonly watch: WithdrawalWatch;
  /** Whether a tarball still is withdrawn. */
  readonly isGone: (sha512: string) => Promise<boolean>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly now: () => number;
  readonly random: () => number;
}): WithdrawalJudge {
  const { watch, isGone, logger, metrics, now, random } = deps;
  const probes = metrics.counter('host_withdrawn_probes_total', 'Looks for withdrawn tarballs at hosts', ['result']);
  const caught = new Map<string, WithdrawnTarball>();
  const looks = new Map<string, number>();

  function pick(hostId: string): WithdrawnTarball | null {
    const look = (looks.get(hostId) ?? 0) + 1;
    looks.set(hostId, look);
    const all = look % LOOKS === 0 ? watch.dropped(hostId, now()) : [];
    return all[Math.floor(random() * all.length)] ?? null;
  }

  return {
    held: (hostId, size) => watch.held(hostId, size, now()),
    async question(hostId) {
      const known = caught.get(hostId) ?? pick(hostId);
      if (known === null || (await isGone(known.sha512))) return known;
      // It came back, so that serving it is right.
      caught.delete(hostId);
      return null;
    },
    answered(hostId, asked, isServed) {
      probes.inc({ result: isServed ? 'served' : 'refused' });
      if (isServed === caught.has(hostId)) return false;
      const facts = { host: hostId, ...asked };
      if (isServed) caught.set(hostId, asked);
      else caught.delete(hostId);
      if (isServed) logger.error(facts, 'host goes on serving what was withdrawn: it is out of the rotation');
      else logger.info(facts, 'host no longer serves what was withdrawn');
      return true;
    },
    verdictOn(hostId, size) {
      if (caught.has(hostId)) return 'kept';
      return (size ?? 0) < watch.mustHold(now()) ? 'missed' : null;
    },
    validUntil: () => watch.nextDue(),
  };
}
