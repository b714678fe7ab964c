/** How a mirror says that it is: of the log, what it holds and whom it has it from. */
import { toHex } from '../core/bytes.ts';
import type { LogFollower } from './log/log-follower.ts';

/** @param now unix ms */
export function logHealth(follower: LogFollower, now: number): Record<string, unknown> {
  const served = follower.checkpoint();
  const confirmed = follower.confirmed();
  return {
    size: follower.size(),
    root: served ? toHex(served.checkpoint.root) : null,
    // How long ago a source last showed that there is nothing newer.
    confirmedSecondsAgo: confirmed === null ? null : Math.max(0, Math.round((now - confirmed) / 1000)),
    sources: follower.sources(),
    stopped: follower.stopped(),
    splitViews: follower.evidence().map(({ at, source, held, offered }) => ({ at, source, held, offered })),
  };
}
