/**
 * The checkpoint as this mirror shows it: with its own cosignature and those that its origin had collected; and how old
 * it is, by the word of those who are known to say so only of what they have just seen.
 */
import { ageOf, type CheckpointAge, isPlausible } from '../../core/checkpoint-age.ts';
import { tryOpenCosignatures } from '../../core/cosignature.ts';
import { type Cosigned, partCosignatures, withCosignatures } from '../../core/cosigned.ts';
import { COSIGNATURES_SERVED_MAX } from '../../core/limits.ts';
import type { HeldCheckpoint } from '../log/held-log.ts';

export type ShownCheckpoint = {
  /** The signed note; null while none is held. */
  note(): string | null;
  /** Null while none is held. */
  age(): CheckpointAge | null;
};

export type ShownCheckpointDeps = {
  /** What is served, with the signatures that its source had beneath it. */
  readonly served: () => HeldCheckpoint | null;
  /** What this mirror cosigned last. */
  readonly own: () => Cosigned | null;
  /** Whose times count: the origin's own cosigner, and the witnesses of the policy. */
  readonly timekeepers: () => readonly string[];
  /** Time of the last entry that is held, unix ms; 0 if there is none. */
  readonly entryTime: () => number;
  /** Unix ms. */
  readonly now: () => number;
};

export function createShownCheckpoint(deps: ShownCheckpointDeps): ShownCheckpoint {
  const { served, own, timekeepers, entryTime, now } = deps;
  let shown: { readonly of: string; readonly line: string | undefined; readonly note: string } | null = null;
  // Who saw an older one at that time has seen that there was no newer one then.
  let newest = 0;

  function compose(held: HeldCheckpoint, line: string | undefined): string {
    const { bare, lines } = partCosignatures(held.note);
    return withCosignatures(bare, [...(line ? [line] : []), ...lines], COSIGNATURES_SERVED_MAX);
  }

  /** Seconds since 1970. */
  function timesIn({ note }: HeldCheckpoint): number[] {
    return tryOpenCosignatures(note, timekeepers()).map(({ time }) => time);
  }

  return {
    note() {
      const held = served();
      if (!held) return null;
      const cosigned = own();
      const line = cosigned && held.note.startsWith(`${cosigned.text}\n`) ? cosigned.line : undefined;
      if (shown?.of !== held.note || shown.line !== line) shown = { of: held.note, line, note: compose(held, line) };
      return shown.note;
    },
    age() {
      const held = served();
      if (!held) return null;
      const seconds = now() / 1000;
      const times = [...timesIn(held), entryTime() / 1000].filter((time) => isPlausible(time, seconds));
      newest = Math.max(newest, ...times);
      return ageOf(held.checkpoint.size, newest === 0 ? null : newest, seconds);
    },
  };
}
