/**
 * Which checkpoints this mirror moves on to, and what it keeps of them. One that lacks cosignatures which the operator's
 * policy requires is held back: the one before it goes on being served, and what the origin has by then is asked for again.
 */
import { tryOpenCosignatures } from '../../core/cosignature.ts';
import { type LogKeys, partCosignatures, withCosignatures, withoutCosignatures } from '../../core/cosigned.ts';
import { UnwitnessedError } from '../../core/errors.ts';
import { COSIGNATURES_SERVED_MAX } from '../../core/limits.ts';
import { lacking } from '../../core/policy-check.ts';
import type { Policy } from '../../core/tlog-policy.ts';
import type { HeldCheckpoint } from './held-log.ts';

export type Admission = {
  /** @throws UnwitnessedError for a checkpoint that must not be served */
  admit(seen: HeldCheckpoint): void;
  /**
   * The checkpoint with the cosignatures that are worth keeping: what the origin collected it has verified; from others
   * only what can be verified here is kept.
   */
  trimmed(seen: HeldCheckpoint, fromOrigin: boolean): HeldCheckpoint;
  /** What to serve once the origin shows the served checkpoint again: never less than the policy asked for. */
  renewed(seen: HeldCheckpoint, served: HeldCheckpoint): HeldCheckpoint;
  /** What the checkpoint lacks that is waited for; null while none is. */
  lacking(): string | null;
  close(): void;
};

export type AdmissionDeps = {
  /** Null: the log's signature is enough. */
  readonly policy: Policy | null;
  /** The log's name and keys; null until they are known. */
  readonly keys: () => LogKeys | null;
  /** Cosigners that are known here: the origin's own, and the policy's witnesses. */
  readonly cosigners: () => readonly string[];
  /** Looks for a checkpoint that can be admitted. */
  readonly again: () => void;
  /** From 0 up to 1: mirrors that wait for the same witnesses must not ask together. */
  readonly random: () => number;
};

/** ms: until what was held back is asked for again, from the first to the longest, growing by half. */
const AGAIN_MS = { first: 500, last: 10_000 };

export function createAdmission({ policy, keys, cosigners, again, random }: AdmissionDeps): Admission {
  let timer: NodeJS.Timeout | undefined;
  let waitMs = AGAIN_MS.first;
  let lacked: string | null = null;

  function askAgain(): void {
    if (timer !== undefined) return;
    const ask = () => {
      timer = undefined;
      again();
    };
    timer = setTimeout(ask, waitMs * (0.5 + random()));
    timer.unref();
    waitMs = Math.min(waitMs * 1.5, AGAIN_MS.last);
  }

  function trimmed(seen: HeldCheckpoint, fromOrigin: boolean): HeldCheckpoint {
    const log = keys();
    if (!log) return seen;
    const lines = fromOrigin ? partCosignatures(seen.note).lines : verifiedLines(seen.note, cosigners());
    return { ...seen, note: withCosignatures(withoutCosignatures(seen.note, log), lines, COSIGNATURES_SERVED_MAX) };
  }

  function stopAsking(): void {
    clearTimeout(timer);
    timer = undefined;
    waitMs = AGAIN_MS.first;
  }

  return {
    admit({ checkpoint: { size }, note }) {
      lacked = policy && lacking(policy, note);
      if (lacked === null) return stopAsking();
      askAgain();
      throw new UnwitnessedError({ size, lacking: lacked });
    },

    trimmed,

    renewed(seen, served) {
      const kept = trimmed(seen, true);
      if (policy === null || lacking(policy, kept.note) === null) return kept;
      // An origin that was started anew has lost what witnesses said of a checkpoint that has not changed since.
      const vkeys = policy.witnesses.map(({ vkey }) => vkey);
      const { bare, lines } = partCosignatures(kept.note);
      const all = [...verifiedLines(served.note, vkeys), ...lines];
      const whole = { ...kept, note: withCosignatures(bare, all, COSIGNATURES_SERVED_MAX) };
      return lacking(policy, whole.note) === null ? whole : served;
    },

    lacking: () => lacked,
    close: () => clearTimeout(timer),
  };
}

function verifiedLines(note: string, vkeys: readonly string[]): string[] {
  return tryOpenCosignatures(note, vkeys).map(({ line }) => line);
}
