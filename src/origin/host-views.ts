/** A host as others see it: for decisions about redirects, and for admins. */
import type { Health } from '../core/health.ts';
import type { Heartbeat } from '../core/membership.ts';
import type { HostView } from '../core/selection.ts';
import { evictionOf, type HostRows, type Standing, standingOf } from '../core/standing.ts';

/** A host as an admin sees it. Times in unix ms. */
export type HostListing = {
  readonly id: string;
  readonly url: string;
  readonly standing: Standing;
  /** Why it was suspended or evicted, or why it is not healthy; null if there is nothing to say. */
  readonly reason: string | null;
  readonly private: boolean;
  readonly present: boolean;
  readonly healthy: boolean;
  readonly operator: string | null;
  readonly software: string | null;
  readonly applied: number;
  /** What it said last of itself. */
  readonly heartbeat: Heartbeat | null;
};

/** What is known of a host besides its rows; none of it is stored. */
export type HostSigns = {
  readonly present: boolean;
  readonly health: Health;
  readonly heartbeat: Heartbeat | null;
};

export function viewOf(id: string, rows: HostRows, { present, health }: HostSigns): HostView {
  const { url, private: hidden } = rows.application;
  const { hostname, protocol } = new URL(url);
  const scheme = protocol === 'https:' ? 'https' : 'http';
  const approved = standingOf(rows) === 'approved';
  const view = { id, url, hostname, scheme, present, healthy: health.healthy, approved, private: hidden } as const;
  return health.reason === null ? view : { ...view, reason: health.reason };
}

export function listingOf(id: string, rows: HostRows, { present, health, heartbeat }: HostSigns): HostListing {
  const { url, private: hidden, operator, software, applied } = rows.application;
  const reason = evictionOf(rows) ?? rows.suspension?.reason ?? health.reason;
  const standing = standingOf(rows);
  const { healthy } = health;
  return { id, url, standing, reason, private: hidden, present, healthy, operator, software, applied, heartbeat };
}

/** How many hosts are known, and how many of them are still in after each condition for being sent clients. */
export function countStates(views: readonly HostView[]): [state: string, count: number][] {
  const approved = views.filter((view) => view.approved);
  const present = approved.filter((view) => view.present);
  const healthy = present.filter((view) => view.healthy);
  const states = { known: views, approved, present, healthy };
  return Object.entries(states).map(([state, hosts]) => [state, hosts.length]);
}
