/** Where a host stands with an origin, out of what the tables say of it. */
import type { ApplicationRow, HostRow, SuspensionRow } from './tables.ts';

export type Standing = 'pending' | 'approved' | 'suspended' | 'evicted';

/** The rows about one host. `admitted` is what the journal says, null for a private host or one never admitted. */
export type HostRows = {
  readonly application: ApplicationRow;
  readonly admitted: HostRow | null;
  readonly suspension: SuspensionRow | null;
};

/**
 * A host is approved when an admin said so and, unless it is private, the journal says so too, of this very URL: a crash
 * between the two leaves it pending, and approving it again mends that. An eviction outranks everything.
 */
export function standingOf(rows: HostRows): Standing {
  if (evictionOf(rows) !== null) return 'evicted';
  if (rows.suspension !== null) return 'suspended';
  const { application, admitted } = rows;
  const journaled = application.private || (admitted?.url === application.url && admitted.key === application.key);
  return application.approved && journaled ? 'approved' : 'pending';
}

/** Why the host was evicted, or null. */
export function evictionOf({ application, admitted }: HostRows): string | null {
  return admitted?.evicted ?? application.evicted;
}

/** Whether the log still lists the host: what an eviction has to end. */
export function isInLog({ admitted }: HostRows): boolean {
  return admitted !== null && admitted.evicted === null;
}
