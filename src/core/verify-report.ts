/** What `verify` found: what was checked, how much of it, and what is wrong, as data and in plain words. */
import { reasonOf } from './errors.ts';

/** One thing that is wrong. `subject` names it, `what` says what is wrong with it. */
export type Problem = { readonly subject: string; readonly what: string };

/** One kind of thing that was checked. */
export type Check = {
  readonly name: string;
  /** What was counted, in words: `1234 entries, …`. */
  readonly counted: string;
  /** What is worth knowing and not wrong. */
  readonly notes: readonly string[];
  /** The first problems found; `problemCount` counts all. */
  readonly problems: readonly Problem[];
  readonly problemCount: number;
};

export type VerifyReport = { readonly checks: readonly Check[] };

/** Enough to see what happened, few enough for a report on a store that is wholly broken. */
const PROBLEMS_KEPT_MAX = 100;

/** Gathers what one check sees. */
export class Tally {
  readonly #name: string;
  readonly #counts = new Map<string, number>();
  readonly #notes: string[] = [];
  readonly #problems: Problem[] = [];
  #problemCount = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** @param unit one of them: `entry` */
  count(unit: string, by = 1): void {
    this.#counts.set(unit, (this.#counts.get(unit) ?? 0) + by);
  }

  note(text: string): void {
    this.#notes.push(text);
  }

  wrong(subject: string, what: string): void {
    this.#problemCount += 1;
    if (this.#problems.length < PROBLEMS_KEPT_MAX) this.#problems.push({ subject, what });
  }

  /** Runs one check; whatever it throws is what is wrong with `subject`. */
  async attempt(subject: string, check: () => Promise<void>): Promise<void> {
    try {
      await check();
    } catch (error) {
      this.wrong(subject, reasonOf(error));
    }
  }

  /** @param claim what holds for everything counted where nothing is wrong: `each with its hash` */
  result(claim: string): Check {
    const counts =
      [...this.#counts].map(([unit, n]) => `${n.toLocaleString('en')} ${n === 1 ? unit : pluralOf(unit)}`).join(', ') ||
      'nothing';
    const counted = this.#problemCount === 0 && this.#counts.size > 0 ? `${counts}: ${claim}` : counts;
    const { name, notes, problems } = { name: this.#name, notes: this.#notes, problems: this.#problems };
    return { name, counted, notes, problems, problemCount: this.#problemCount };
  }
}

const pluralOf = (unit: string): string => (unit.endsWith('y') ? `${unit.slice(0, -1)}ies` : `${unit}s`);

export const problemsIn = ({ checks }: VerifyReport): number =>
  checks.reduce((sum, { problemCount }) => sum + problemCount, 0);

/**
 * The report as lines for people.
 * @param width of the column of names, for reports that are told part by part
 */
export function formatReport(report: VerifyReport, width = longestName(report)): string[] {
  return report.checks.flatMap((check) => [
    `  ${check.name.padEnd(width)}  ${check.counted}`,
    ...check.notes.map((note) => `  ${' '.repeat(width)}  note: ${note}`),
    ...check.problems.map(({ subject, what }) => `  ${' '.repeat(width)}  WRONG ${subject}: ${what}`),
    ...moreThan(check, width),
  ]);
}

const longestName = ({ checks }: VerifyReport): number => Math.max(...checks.map(({ name }) => name.length), 0);

function moreThan({ problems, problemCount }: Check, width: number): string[] {
  const more = problemCount - problems.length;
  return more === 0 ? [] : [`  ${' '.repeat(width)}  … and ${more.toLocaleString('en')} more`];
}
