/** What `lockfile check` and `lockfile rewrite` say, as text for people. */

import { type LockfileReport, type Verdict, WITHOUT_HASH } from './lockfile-check.ts';
import type { Lockfile, LockfileEntry, LockfileFormat } from './lockfile-entry.ts';
import type { KeptBecause, Rewrite, Target } from './lockfile-rewrite.ts';
import { columns } from './text-table.ts';

/** Entries that are listed of each kind; the rest are counted. */
const LISTED_MAX = 20;

const NAMES: Readonly<Record<LockfileFormat, string>> = {
  npm: 'npm',
  pnpm: 'pnpm',
  'yarn-1': 'yarn 1',
  'yarn-4': 'yarn 2 or later',
  bun: 'bun',
};

const KEPT: Readonly<Record<KeptBecause, string>> = {
  mismatch: "name another package's tarball, and stay; find out who wrote that",
  'not-from': 'are at other registries than --from names, and stay',
  'not-derivable': 'keep their URL: the client could not derive it',
  elsewhere: 'come from no registry, and stay',
};

/** @param bytes the lockfile's, for line numbers */
export function formatReport(
  lockfile: Lockfile,
  report: LockfileReport,
  bytes: Uint8Array,
  asked: { registry: string; verdicts: readonly Verdict[] } | null,
): string {
  const lineOf = lineCounter(bytes);
  const { packages, named, hosts } = report;
  const lists = [
    list(`${counted(report.unhashed)} no hash: ${WITHOUT_HASH[lockfile.format]}`, report.unhashed, lineOf),
    list(`${counted(report.weak)} a sha1 only, for which another file can be made`, report.weak, lineOf),
    list(`${counted(report.mismatched)} the URL of another package or version`, report.mismatched, lineOf),
    list(`${counted(report.elsewhere)} a source that is no registry`, report.elsewhere, lineOf),
  ];
  const head = `${NAMES[lockfile.format]} lockfile, version ${lockfile.version}: ${packages} entries from registries, ${named} with a URL\n`;
  const table =
    hosts.length === 0 ? '' : columns([['HOST', 'URLS'], ...hosts.map(({ host, count }) => [host, `${count}`])]);
  return [head, table, ...lists, asked === null ? '' : formatVerdicts(asked.registry, asked.verdicts)].join('');
}

/** What was done, and what was left and why. */
export function formatRewrite(rewrite: Rewrite, target: Target, bytes: Uint8Array): string {
  const lineOf = lineCounter(bytes);
  const where = target === 'portable' ? 'now follow the configured registry' : `moved to ${target.to}`;
  const reasons = Object.keys(KEPT) as KeptBecause[];
  const kept = reasons.map((reason) => {
    const entries = rewrite.kept.filter(({ because }) => because === reason).map(({ entry }) => entry);
    return list(`${entries.length} ${KEPT[reason]}`, entries, lineOf);
  });
  const settled = rewrite.settled === 0 ? '' : `, ${rewrite.settled} were there already`;
  return [`${rewrite.moved} entries ${where}${settled}\n`, ...kept].join('');
}

function formatVerdicts(registry: string, verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ client, works, why }) => [client, works ? 'yes' : 'no', why]);
  return `with ${registry}:\n${columns([['CLIENT', 'WORKS', 'WHY'], ...rows])}`;
}

function counted(entries: readonly LockfileEntry[]): string {
  return entries.length === 1 ? '1 entry has' : `${entries.length} entries have`;
}

function list(head: string, entries: readonly LockfileEntry[], lineOf: (offset: number) => number): string {
  if (entries.length === 0) return '';
  const rows = entries.slice(0, LISTED_MAX).map((entry) => `  line ${lineOf(entry.at)}: ${shown(entry)}\n`);
  const more = entries.length > LISTED_MAX ? [`  and ${entries.length - LISTED_MAX} more\n`] : [];
  return [`${head}\n`, ...rows, ...more].join('');
}

/** Control characters could move a terminal's cursor; credentials in a URL are nobody's business. */
function shown({ name, version, source, url }: LockfileEntry): string {
  const what = version === '' ? name : `${name}@${version}`;
  const from = url ?? (source === 'registry' ? '' : source);
  return `${what} ${from.replace(/\/\/[^/@]*@/, '//')}`.trimEnd().replace(/\p{C}/gu, ' ').slice(0, 300);
}

/** Line numbers from 1. */
function lineCounter(bytes: Uint8Array): (offset: number) => number {
  const ends: number[] = [];
  for (let at = bytes.indexOf(0x0a); at !== -1; at = bytes.indexOf(0x0a, at + 1)) ends.push(at);
  return (offset) => 1 + countBelow(ends, offset);
}

/** How many of the ascending numbers are less. */
function countBelow(numbers: readonly number[], bound: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] ?? 0) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
