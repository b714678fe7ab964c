/**
 * The newest checkpoint that reached a policy's quorum. A log under load always has a newer one that has not yet, so
 * whoever requires the quorum would never see it beneath the newest one.
 */

import { type Cosigned, withCosignatures } from './cosigned.ts';
import { COSIGNATURES_SERVED_MAX } from './limits.ts';
import { lacking } from './policy-check.ts';
import type { Policy } from './tlog-policy.ts';

/** Checkpoints that may still get there; a round of asking all witnesses begins seconds after the one before. */
const CANDIDATES_MAX = 8;

type Candidate = { readonly size: number; readonly bare: string; readonly lines: Map<string, string> };

export class Witnessed {
  readonly #policy: Policy;
  readonly #candidates = new Map<string, Candidate>();
  #reached: { readonly size: number; readonly note: string } | null = null;

  constructor(policy: Policy) {
    this.#policy = policy;
  }

  /** The checkpoint with its cosignatures; null before the first. */
  note(): string | null {
    return this.#reached?.note ?? null;
  }

  /**
   * Somebody has cosigned a checkpoint.
   * @param bare the checkpoint with the log's signatures alone
   * @param vkey whose cosignature it is; the policy decides whether it counts
   */
  add(vkey: string, { checkpoint: { size }, text, line }: Omit<Cosigned, 'note' | 'time'>, bare: string): void {
    if (size < (this.#reached?.size ?? 0)) return;
    const candidate = this.#candidates.get(text) ?? { size, bare, lines: new Map<string, string>() };
    candidate.lines.set(vkey, line);
    this.#candidates.set(text, candidate);
    if (this.#candidates.size > CANDIDATES_MAX) this.#candidates.delete(this.#candidates.keys().next().value as string);
    const note = withCosignatures(bare, [...candidate.lines.values()], COSIGNATURES_SERVED_MAX);
    if (lacking(this.#policy, note) === null) this.#reach(size, note);
  }

  #reach(size: number, note: string): void {
    this.#reached = { size, note };
    for (const [text, candidate] of this.#candidates) if (candidate.size < size) this.#candidates.delete(text);
  }
}
