/**
 * The hosts as they stand now: what is stored of them, and the signs that they give of themselves, none of which is
 * stored. Views of them for decisions are made anew only when something changed.
 */
import type { CosignedByHost, Heartbeat } from '../../core/membership.ts';
import type { HostView, HostWithdrawals } from '../../core/selection.ts';
import type { HostRows } from '../../core/standing.ts';
import type { HostHealth } from './host-health.ts';
import type { HostProgress } from './host-progress.ts';
import { type HostListing, type HostSigns, listingOf, viewOf } from './host-views.ts';
import type { Presence } from './presence.ts';
import type { WithdrawalJudge } from './withdrawal-judge.ts';

export type WatchedHosts = {
  list(): HostListing[];
  /** For decisions. The same array until something changes. */
  views(): readonly HostView[];
  /** Something happened to a host that views show. */
  changed(): void;
  heartbeat(hostId: string, heartbeat: Heartbeat): void;
};

export type WatchedHostsDeps = {
  readonly hosts: () => Iterable<[id: string, rows: HostRows]>;
  readonly presence: Pick<Presence, 'isPresent' | 'heartbeat' | 'nextEndMs'>;
  readonly progress: Pick<HostProgress, 'take' | 'heldBy' | 'isBehind' | 'lookMs'>;
  readonly health: Pick<HostHealth, 'of'>;
  /** Left out: nothing is known of withdrawals. */
  readonly withdrawals?: WithdrawalJudge | undefined;
  /** Hosts that the operator vouches for. Left out: there are none. */
  readonly isTrustedHost?: ((hostId: string) => boolean) | undefined;
  /** How many client networks avoid a host, by its id. Left out: nothing is known of that. */
  readonly avoidedBy?: (() => ReadonlyMap<string, number>) | undefined;
  /** Unix ms. */
  readonly now: () => number;
  /** Ms of a clock that never jumps. */
  readonly monotonic: () => number;
};

export function watchHosts(deps: WatchedHostsDeps): WatchedHosts {
  const { hosts, isTrustedHost = () => false, presence, progress, health, withdrawals, now, monotonic } = deps;
  const heartbeats = new Map<string, Heartbeat>();
  const { avoidedBy = () => new Map<string, number>() } = deps;
  let made: { readonly views: readonly HostView[]; readonly untilMs: number } | null = null;

  function withdrawalsOf(hostId: string): HostWithdrawals | null {
    return withdrawals?.verdictOn(hostId, progress.heldBy(hostId)) ?? null;
  }

  function signsOf(id: string): HostSigns {
    const heartbeat = heartbeats.get(id) ?? null;
    const [size, behind] = [progress.heldBy(id), progress.isBehind(id)];
    return {
      trusted: isTrustedHost(id),
      present: presence.isPresent(id),
      health: health.of(id),
      heartbeat,
      size,
      behind,
      withdrawals: withdrawalsOf(id),
    };
  }

  /** A heartbeat counts whatever it carries. */
  async function takeCosigned(hostId: string, said: CosignedByHost): Promise<void> {
    const before = withdrawalsOf(hostId);
    const isOther = await progress.take(hostId, said);
    withdrawals?.held(hostId, progress.heldBy(hostId) ?? 0);
    if (isOther || withdrawalsOf(hostId) !== before) made = null;
  }

  return {
    list() {
      const networks = avoidedBy();
      return [...hosts()].map(([id, rows]) => listingOf(id, rows, signsOf(id), networks.get(id) ?? 0));
    },
    views() {
      const judgedUntil = withdrawals?.validUntil() ?? Number.POSITIVE_INFINITY;
      if (!made || monotonic() > made.untilMs || now() >= judgedUntil) {
        const views = [...hosts()].map(([id, rows]) => viewOf(id, rows, signsOf(id)));
        made = { views, untilMs: Math.min(presence.nextEndMs(), monotonic() + progress.lookMs) };
      }
      return made.views;
    },
    changed() {
      made = null;
    },
    heartbeat(hostId, heartbeat) {
      heartbeats.set(hostId, heartbeat);
      presence.heartbeat(hostId);
      if (heartbeat.cosigned) void takeCosigned(hostId, heartbeat.cosigned);
    },
  };
}
