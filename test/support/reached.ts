import type { HeldCheckpoint } from '../../src/mirror/log/held-log.ts';
import type { LogFollower } from '../../src/mirror/log/log-follower.ts';

/** Resolves with the checkpoint that is served once it covers so many entries. */
export function reached(follower: LogFollower, size: number): Promise<HeldCheckpoint> {
  const served = follower.checkpoint();
  if (served && served.checkpoint.size >= size) return Promise.resolve(served);
  return new Promise((resolve) => {
    const stop = follower.subscribe((next) => {
      if (next.checkpoint.size < size) return;
      stop();
      resolve(next);
    });
  });
}
