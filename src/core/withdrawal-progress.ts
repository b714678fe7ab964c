/** How far a mirror has come with carrying out what the log withdraws and brings back: what it keeps over restarts. */

/** Setting with the tarballs that are about to be removed: a JSON list of their sha512s. */
export const BURYING_SETTING = 'burying';

/** An entry of the log that was looked at and is not carried out. */
export type OpenEntry = {
  /** Its place in the log, from 0. */
  readonly index: number;
  /** Unix ms: when this mirror held it. */
  readonly since: number;
  /** Seconds from then; null for an entry that brings something back. */
  readonly deadline: number | null;
};

export type WithdrawalProgress = {
  /** Entries before this one were looked at. */
  readonly at: number;
  /** In the log's order. */
  readonly open: readonly OpenEntry[];
};

export const NO_PROGRESS: WithdrawalProgress = { at: 0, open: [] };

/** @param open stand behind those that were open before */
export function lookedAt(progress: WithdrawalProgress, at: number, open: readonly OpenEntry[]): WithdrawalProgress {
  return { at, open: [...progress.open, ...open] };
}

export function carriedOut(progress: WithdrawalProgress, done: ReadonlySet<number>): WithdrawalProgress {
  return { ...progress, open: progress.open.filter(({ index }) => !done.has(index)) };
}

/** Whether it should have been carried out by now. @param now unix ms */
function isOverdue({ since, deadline }: OpenEntry, now: number): boolean {
  return deadline !== null && now > since + deadline * 1_000;
}

/** Withdrawals that should have been carried out by now. @param now unix ms */
export function overdueIn({ open }: WithdrawalProgress, now: number): OpenEntry[] {
  return open.filter((one) => isOverdue(one, now));
}

/** Withdrawals among what is open. */
export function withdrawalsIn({ open }: WithdrawalProgress): OpenEntry[] {
  return open.filter(({ deadline }) => deadline !== null);
}

export const formatProgress = (progress: WithdrawalProgress): string => JSON.stringify(progress);

/** What {@link formatProgress} wrote. */
export const parseProgress = (text: string): WithdrawalProgress => JSON.parse(text) as WithdrawalProgress;
