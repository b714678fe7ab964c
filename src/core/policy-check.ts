/** What a policy (core/tlog-policy.ts) asks of one log's checkpoints, and what a given one lacks. */

import { openCosignatures } from './cosignature.ts';
import { FederationError, UsageError } from './errors.ts';
import { openNote, parseVkey } from './note.ts';
import { type Policy, satisfies } from './tlog-policy.ts';

/**
 * What a checkpoint lacks, in words for an operator; null if the policy is satisfied.
 * @param note its witnesses' cosignatures are verified here, and so is the log's signature
 */
export function lacking(policy: Policy, note: string): string | null {
  try {
    openNote(
      note,
      policy.logs.map(({ vkey }) => vkey),
    );
    const cosigners = openCosignatures(
      note,
      policy.witnesses.map(({ vkey }) => vkey),
    ).map(({ vkey }) => vkey);
    return satisfies(policy, cosigners) ? null : missing(policy, cosigners);
  } catch (error) {
    if (error instanceof FederationError) return error.message;
    throw error;
  }
}

function missing({ quorum, witnesses }: Policy, cosigners: readonly string[]): string {
  const names = witnesses.filter(({ vkey }) => !cosigners.includes(vkey)).map(({ name }) => name);
  return `the quorum ${quorum} is not reached: ${cosigners.length} of ${witnesses.length} witnesses have cosigned, not ${names.join(', ')}`;
}

/**
 * Checks that a policy is about this log.
 * @param logVkey the key that signs the log now
 * @throws UsageError if no log line has this key
 */
export function checkPolicyLog({ logs }: Policy, logVkey: string): void {
  if (logs.some(({ vkey }) => vkey === logVkey)) return;
  throw new UsageError(
    `the policy has no line "log ${logVkey}": it is about ${logs.map(({ vkey }) => parseVkey(vkey).name).join(', ') || 'no log'}; every checkpoint of this log would be held back`,
  );
}
