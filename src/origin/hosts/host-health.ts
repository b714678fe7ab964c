/** How well each host is, as looks at it came out. Nothing of it is stored: after a start all hosts are looked at anew. */
import { type Health, healthAfter, newHealth, type ProbeResult } from '../../core/health.ts';
import type { Logger } from '../../io/logger.ts';
import type { Metrics } from '../../io/metrics.ts';

export type HostHealth = {
  of(hostId: string): Health;
  /** Forgets what is known of a host that was just approved: it is out until a first good look. */
  begin(hostId: string): void;
  /** Takes what a look came to. Returns whether the host is in or out now and was not before. */
  record(hostId: string, result: ProbeResult): boolean;
};

/** @param deps `now`: unix ms */
export function createHostHealth(deps: {
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly now: () => number;
}): HostHealth {
  const { logger, metrics, now } = deps;
  const states = new Map<string, Health>();
  const of = (hostId: string): Health => states.get(hostId) ?? newHealth(now());
  return {
    of,
    begin: (hostId) => void states.set(hostId, newHealth(now())),
    record(hostId, result) {
      const before = of(hostId);
      const after = healthAfter(before, result, now());
      states.set(hostId, after);
      metrics.counter('host_probes_total', 'Looks at hosts, by result', ['result']).inc({ result: result.kind });
      logger.debug({ host: hostId, ...result }, 'looked at a host');
      if (after.healthy === before.healthy) return false;
      const facts = { host: hostId, reason: after.reason, saw: after.lastFailure };
      if (after.healthy) logger.info({ host: hostId }, 'host is healthy: clients are sent there');
      else logger.warn(facts, 'host is out of the rotation');
      return true;
    },
  };
}
