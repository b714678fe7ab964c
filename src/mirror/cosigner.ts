/**
 * This mirror's own cosignature, which says: I hold every entry up to this checkpoint. It is made when the served
 * checkpoint has moved, and anew each minute while somebody shows that it still is the newest.
 *
 * What is served continues what was served before; the cosigner trusts nobody with that, and looks at the stored tiles
 * once more, since a folder that was put together from two could say otherwise.
 */
import { equal } from '../core/bytes.ts';
import { type Cosigned, type LogKeys, withoutCosignatures } from '../core/cosigned.ts';
import { type HashReader, treeHash } from '../core/merkle.ts';
import { type Cosigner, logHash } from '../io/cosigner.ts';
import type { Logger } from '../io/logger.ts';
import { Serial } from '../io/serial.ts';
import type { HeldCheckpoint } from './held-log.ts';
import type { LogFollower } from './log-follower.ts';

export type MirrorCosigner = {
  readonly vkey: string;
  /** What was cosigned last; null before the first. */
  latest(): Cosigned | null;
  /** Begins to cosign. */
  start(): void;
  close(): Promise<void>;
};

export type MirrorCosignerDeps = {
  readonly cosigner: Cosigner;
  readonly follower: Pick<LogFollower, 'checkpoint' | 'confirmed' | 'subscribe'>;
  /** The log's name and keys; null until they are known. */
  readonly keys: () => LogKeys | null;
  /** Hashes of the stored tree, at a size that it has. */
  readonly hashes: (size: number) => HashReader;
  /** Reads anew what is known of the log beside its checkpoint, after that has moved. */
  readonly refresh: () => Promise<void>;
  /** Told when another checkpoint than before was cosigned. */
  readonly moved: () => void;
  readonly logger: Logger;
  /** Unix ms. */
  readonly now: () => number;
  readonly renewMs: number;
};

export function createMirrorCosigner(deps: MirrorCosignerDeps): MirrorCosigner {
  const { cosigner, follower, keys, hashes, refresh, moved, logger, now, renewMs } = deps;
  const turns = new Serial();
  let cosignedAtMs = 0;
  let timer: NodeJS.Timeout | undefined;
  let unsubscribe = (): void => undefined;

  function latest(): Cosigned | null {
    const log = keys();
    return log && cosigner.latest(logHash(log.name));
  }

  /** A smaller tree must be the beginning of the larger one. */
  async function continues(before: Cosigned, { checkpoint }: HeldCheckpoint): Promise<boolean> {
    const { size, root } = before.checkpoint;
    return size <= checkpoint.size && equal(await treeHash(size, hashes(checkpoint.size)), root);
  }

  async function cosignServed(): Promise<void> {
    await refresh();
    const [served, log, before] = [follower.checkpoint(), keys(), latest()];
    if (!served || !log) return;
    if (before && !(await continues(before, served))) {
      const [held, cosigned] = [served.note, before.note];
      return logger.error({ held, cosigned }, 'what is held does not continue what was cosigned; it is not cosigned');
    }
    cosignedAtMs = now();
    const { text } = await cosigner.cosign(withoutCosignatures(served.note, log), before);
    if (text !== before?.text) moved();
  }

  function cosignNow(): Promise<void> {
    return turns.run(() => cosignServed().catch((err) => logger.error({ err }, 'the checkpoint was not cosigned')));
  }

  function isCosigned(served: HeldCheckpoint | null): boolean {
    const cosigned = latest();
    return cosigned !== null && served?.note.startsWith(`${cosigned.text}\n`) === true;
  }

  /** Nobody is to take an old checkpoint for the newest because of us. */
  function renew(): void {
    const confirmed = follower.confirmed();
    if (confirmed !== null && confirmed > cosignedAtMs) void cosignNow();
  }

  return {
    vkey: cosigner.vkey,
    latest,
    start() {
      unsubscribe = follower.subscribe(() => void cosignNow());
      timer = setInterval(renew, renewMs);
      timer.unref();
      // A crash may have come between serving and cosigning.
      if (!isCosigned(follower.checkpoint())) void cosignNow();
    },
    async close() {
      unsubscribe();
      clearInterval(timer);
      await turns.idle();
    },
  };
}
