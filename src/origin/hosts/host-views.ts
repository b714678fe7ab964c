/** A host as others see it: for decisions about redirects, for admins, and on the public list. */
import type { Health } from '../../core/health.ts';
import type { ListedHost } from '../../core/hosts-list.ts';
import type { Heartbeat } from '../../core/membership.ts';
import { HOST_REASONS } from '../../core/redirect.ts';
import type { HostView, HostWithdrawals } from '../../core/selection.ts';
import { evictionOf, type HostRows, type Standing, standingOf } from '../../core/standing.ts';

/** A host as an admin sees it. Times in unix ms. */
export type HostListing = {
  readonly id: string;
  readonly url: string;
  readonly standing: Standing;
  /** Why it was suspended or evicted, why it is not healthy, or what speaks against it; null if there is nothing to say. */
  readonly reason: string | null;
  readonly private: boolean;
  /** The operator vouches for it. */
  readonly trusted: boolean;
  readonly present: boolean;
  readonly healthy: boolean;
  readonly operator: string | null;
  readonly software: string | null;
  readonly applied: number;
  /** What it said last of itself. */
  readonly heartbeat: Heartbeat | null;
  /** Entries of the newest checkpoint that it has shown to hold; null before the first. */
  readonly size: number | null;
  /** The log has outgrown that minutes ago: it is sent no clients until it follows. */
  readonly behind: boolean;
  /** What is held against it about withdrawals: it is sent no clients meanwhile; null for nothing. */
  readonly withdrawals: HostWithdrawals | null;
  /** Client networks that are not sent there, since it may have failed them within the last minutes. */
  readonly avoidedBy: number;
};

/** What is known of a host besides its rows; none of it is stored. */
export type HostSigns = {
  /** The operator vouches for it. */
  readonly trusted: boolean;
  readonly present: boolean;
  readonly health: Health;
  readonly heartbeat: Heartbeat | null;
  readonly size: number | null;
  readonly behind: boolean;
  readonly withdrawals: HostWithdrawals | null;
};

const BEHIND = 'does not follow the log';

export function viewOf(
  id: string,
  rows: HostRows,
  { trusted, present, health, behind, withdrawals }: HostSigns,
): HostView {
  const { url, private: hidden } = rows.application;
  const { hostname, protocol } = new URL(url);
  const scheme = protocol === 'https:' ? 'https' : 'http';
  const approved = standingOf(rows) === 'approved';
  const view = { id, url, hostname, scheme, present, healthy: health.healthy, approved, private: hidden } as const;
  return {
    ...view,
    ...(trusted ? { trusted } : {}),
    ...(behind ? { behind } : {}),
    ...(withdrawals ? { withdrawals } : {}),
    ...(health.reason === null ? {} : { reason: health.reason }),
  };
}

export function listingOf(id: string, rows: HostRows, signs: HostSigns, avoidedBy: number): HostListing {
  const { trusted, present, health, heartbeat, size, behind, withdrawals } = signs;
  const { url, private: hidden, operator, software, applied } = rows.application;
  const reason = evictionOf(rows) ?? rows.suspension?.reason ?? health.reason ?? reasonAgainst(signs, avoidedBy);
  const standing = standingOf(rows);
  const { healthy } = health;
  const facts = { id, url, standing, reason, private: hidden, trusted, present, healthy, operator, software, applied };
  return { ...facts, heartbeat, size, behind, withdrawals, avoidedBy };
}

function reasonAgainst({ withdrawals, behind }: HostSigns, avoidedBy: number): string | null {
  if (withdrawals) return HOST_REASONS[`withdrawal-${withdrawals}`];
  if (behind) return BEHIND;
  return avoidedBy > 0
    ? `may have failed clients, of ${avoidedBy} ${avoidedBy === 1 ? 'network' : 'networks'} lately`
    : null;
}

/** What the public is told: approved hosts that are not private, by id. */
export function listedHosts(hosts: Iterable<[id: string, rows: HostRows]>): ListedHost[] {
  return [...hosts]
    .filter(([, rows]) => standingOf(rows) === 'approved' && !rows.application.private)
    .map(([id, { application }]) => ({ id, url: application.url, key: application.key }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** How many hosts are known, and how many of them are still in after each condition for being sent clients. */
export function countStates(views: readonly HostView[]): [state: string, count: number][] {
  const approved = views.filter((view) => view.approved);
  const present = approved.filter((view) => view.present);
  const healthy = present.filter((view) => view.healthy);
  const following = healthy.filter((view) => !view.behind && !view.withdrawals);
  const states = { known: views, approved, present, healthy, following };
  return Object.entries(states).map(([state, hosts]) => [state, hosts.length]);
}
