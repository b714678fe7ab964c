/**
 * This mirror's own cosignature, which says: I hold every entry up to this checkpoint. It is made when the served
 * checkpoint has moved, and anew each minute while somebody shows that it still is the newest.
 *
 * What is served continues what was served before; the cosigner trusts nobody with that, and looks at the stored tiles
 * once more, since a folder that was put together from two could say otherwise.
 */
import { equal } from '../../core/bytes.ts';
import { type Cosigned, partCosignatures } from '../../core/cosigned.ts';
import { type HashReader, treeHash } from '../../core/merkle.ts';
import { type Cosigner, logHash } from '../../io/cosigner.ts';
import type { Logger } from '../../io/logger.ts';
import { Serial } from '../../io/serial.ts';
import type { HeldCheckpoint } from '../log/held-log.ts';
import type { LogFollower } from '../log/log-follower.ts';

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
  /** Hashes of the stored tree, at a size that it has. */
  readonly hashes: (size: number) => HashReader;
  /** Told when another checkpoint than before was cosigned. */
  readonly moved: () => void;
  readonly logger: Logger;
  readonly times: CosignerTimes;
};

/** ms. */
export type CosignerTimes = {
  /** After which a checkpoint that still is the newest is cosigned anew. */
  readonly renewMs: number;
  /** Between two cosignatures, each of which is written durably: a log under load moves five times a second. */
  readonly paceMs: number;
};
export const COSIGNER_TIMES: CosignerTimes = { renewMs: 60_000, paceMs: 1_000 };

export function createMirrorCosigner(deps: MirrorCosignerDeps): MirrorCosigner {
  const { cosigner, follower, hashes, moved, logger, times } = deps;
  const turns = new Serial();
  /** When it was last confirmed, as of the last cosignature. No clock is asked: one that was put back would not renew. */
  let toldOf: number | null = null;
  let renewing: NodeJS.Timeout | undefined;
  let soon: NodeJS.Timeout | undefined;
  let begunMs = Number.NEGATIVE_INFINITY;
  let unsubscribe = (): void => undefined;

  function latest(): Cosigned | null {
    const served = follower.checkpoint();
    return served && cosigner.latest(logHash(served.checkpoint.origin));
  }

  /** A smaller tree must be the beginning of the larger one. */
  async function continues(before: Cosigned, { checkpoint }: HeldCheckpoint): Promise<boolean> {
    const { size, root } = before.checkpoint;
    return size <= checkpoint.size && equal(await treeHash(size, hashes(checkpoint.size)), root);
  }

  async function cosignServed(): Promise<void> {
    const [served, before] = [follower.checkpoint(), latest()];
    if (!served) return;
    if (before && !(await continues(before, served))) {
      const [held, cosigned] = [served.note, before.note];
      return logger.error({ held, cosigned }, 'what is held does not continue what was cosigned; it is not cosigned');
    }
    toldOf = follower.confirmed();
    const { text } = await cosigner.cosign(partCosignatures(served.note).bare, before);
    if (text !== before?.text) moved();
  }

  function cosignNow(): void {
    begunMs = performance.now();
    void turns.run(() => cosignServed().catch((err) => logger.error({ err }, 'the checkpoint was not cosigned')));
  }

  /** What has moved on again by then is cosigned as it is then. */
  function cosignSoon(): void {
    if (soon !== undefined) return;
    const cosign = () => {
      soon = undefined;
      cosignNow();
    };
    soon = setTimeout(cosign, Math.max(0, begunMs + times.paceMs - performance.now()));
    soon.unref();
  }

  function isCosigned(served: HeldCheckpoint | null): boolean {
    const cosigned = latest();
    return cosigned !== null && served?.note.startsWith(`${cosigned.text}\n`) === true;
  }

  /** Nobody is to take an old checkpoint for the newest because of us. */
  function renew(): void {
    const confirmed = follower.confirmed();
    if (confirmed !== null && confirmed !== toldOf) cosignSoon();
  }

  return {
    vkey: cosigner.vkey,
    latest,
    start() {
      unsubscribe = follower.subscribe(cosignSoon);
      renewing = setInterval(renew, times.renewMs);
      renewing.unref();
      // A crash may have come between serving and cosigning.
      if (!isCosigned(follower.checkpoint())) cosignSoon();
    },
    async close() {
      unsubscribe();
      clearInterval(renewing);
      clearTimeout(soon);
      await turns.idle();
    },
  };
}
