/** Rows of the comparison: what was measured, beside whom, and whether that is what the design promises. */

export type Row = {
  readonly work: string;
  readonly ours: string;
  readonly peer: string;
  /** Ours by the peer's; empty where there is no peer. */
  readonly ratio: string;
  readonly goal: string;
  /** Null where nothing was promised, or nothing measured. */
  readonly met: boolean | null;
};

/** A bound that a ratio or figure has to keep. */
export type Bound = { readonly atLeast: number } | { readonly atMost: number };

/** A figure with the name of who made it. */
export type Figure = { readonly who: string; readonly value: number };

type Comparison = {
  readonly work: string;
  readonly unit: string;
  readonly ours: Figure;
  readonly peer: Figure;
  readonly goal: Bound | null;
};

/** Ours beside a peer's, in the same run; the goal bounds the ratio. */
export function comparedRow({ work, unit, ours, peer, goal }: Comparison): Row {
  const ratio = ours.value / peer.value;
  return {
    work: `${work}, ${unit}`,
    ours: `${ours.who} ${short(ours.value)}`,
    peer: `${peer.who} ${short(peer.value)}`,
    ratio: short(ratio),
    goal: goal === null ? '' : formatBound(goal),
    met: goal === null ? null : isWithin(ratio, goal),
  };
}

/** A figure that stands for itself; the goal bounds it directly. */
export function absoluteRow(work: string, unit: string, ours: Figure, goal: Bound | null): Row {
  return {
    work: `${work}, ${unit}`,
    ours: `${ours.who} ${short(ours.value)}`,
    peer: '',
    ratio: '',
    goal: goal === null ? '' : formatBound(goal),
    met: goal === null ? null : isWithin(ours.value, goal),
  };
}

/** What could not be measured, and why. */
export function skippedRow(work: string, reason: string): Row {
  return { work, ours: `skipped: ${reason}`, peer: '', ratio: '', goal: '', met: null };
}

/** The middle one of several runs: single ones are disturbed by whatever else the machine does. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = Number.NaN, high = Number.NaN] = [sorted[(sorted.length - 1) >> 1], sorted[middle]];
  return (low + high) / 2;
}

/** The value that this part of them (0 to 1) does not exceed; 1 gives the largest. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}

/** A Markdown table. */
export function formatTable(rows: readonly Row[]): string {
  const verdict = (met: boolean | null) => (met === null ? '' : met ? 'yes' : 'no');
  const lines = rows.map(({ work, ours, peer, ratio, goal, met }) => [work, ours, peer, ratio, goal, verdict(met)]);
  const all = [['work', 'ours', 'beside', 'ratio', 'goal', 'met'], ...lines];
  const widths = all[0]?.map((_, column) => Math.max(...all.map((cells) => cells[column]?.length ?? 0))) ?? [];
  const line = (cells: string[]) => `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(all[0] ?? []), rule, ...all.slice(1).map(line)].join('\n');
}

function isWithin(value: number, bound: Bound): boolean {
  return 'atLeast' in bound ? value >= bound.atLeast : value <= bound.atMost;
}

function formatBound(bound: Bound): string {
  return 'atLeast' in bound ? `≥ ${bound.atLeast}` : `≤ ${bound.atMost}`;
}

/** Three digits that count, thousands as k. */
function short(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (value >= 10_000) return `${short(value / 1000)} k`;
  return value >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
}
