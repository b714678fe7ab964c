/** `packages`: what an origin's operator sees of packages and decides about them, over the server's admin socket. */
import { quote, UsageError } from '../core/errors.ts';
import type { IncidentRow } from '../core/tables.ts';
import { columns } from '../core/text-table.ts';
import { callAdmin } from '../io/admin-socket.ts';
import type { ListedKey, PackageState } from '../origin/learning/package-admin.ts';
import type { Halt } from '../origin/learning/withdrawals.ts';
import { originDirOf } from './origin-dir.ts';

export async function listIncidents(data: string): Promise<void> {
  print(formatIncidents((await call(data, 'GET', ['incidents'])) as IncidentRow[]));
}

export async function showPackage(data: string, name: string): Promise<void> {
  print(formatPackage((await call(data, 'GET', ['packages', name])) as PackageState));
}

/** @param spec `name@version` */
export async function repinVersion(data: string, spec: string, reason: string): Promise<void> {
  const at = spec.lastIndexOf('@');
  if (at <= 0 || at === spec.length - 1) throw new UsageError(`${quote(spec)} is not NAME@VERSION`);
  const path = ['packages', spec.slice(0, at), spec.slice(at + 1), 'repin'];
  const { before, after } = (await call(data, 'POST', path, { reason })) as { before: string; after: string };
  print(
    `${spec} is pinned anew\n${columns([
      ['was', before],
      ['is', after],
    ])}`,
  );
}

export async function listKeys(data: string): Promise<void> {
  print(formatKeys((await call(data, 'GET', ['keys'])) as ListedKey[]));
}

export async function acceptKey(data: string, keyid: string): Promise<void> {
  const names = (await call(data, 'POST', ['keys', keyid, 'accept'])) as string[];
  const waited = names.length === 0 ? 'nothing waited for it' : `asked for anew at the next look: ${names.join(', ')}`;
  print(`key ${keyid} counts from now on; ${waited}\n`);
}

export async function showWithdrawals(data: string): Promise<void> {
  const halt = (await call(data, 'GET', ['withdrawals'])) as Halt | null;
  print(
    halt ? `halted since ${shown(halt.since)}: ${halt.reason}\n` : 'what the upstream withdraws is withdrawn here\n',
  );
}

export async function resumeWithdrawals(data: string): Promise<void> {
  const wasHalted = await call(data, 'POST', ['withdrawals', 'resume']);
  print(wasHalted ? 'what the upstream withdraws is withdrawn here again\n' : 'withdrawing was not halted\n');
}

/** Incidents as text, the latest last, where a terminal shows them. */
export function formatIncidents(incidents: readonly IncidentRow[]): string {
  if (incidents.length === 0) return 'no incidents\n';
  const rows = [...incidents]
    .sort((a, b) => a.last - b.last)
    .map(({ kind, subject, detail, last, count }) => [shown(last), `${count}`, kind, subject, detail]);
  return columns([['LAST SEEN', 'TIMES', 'KIND', 'SUBJECT', 'DETAIL'], ...rows]);
}

export function formatPackage(state: PackageState): string {
  const { name, head, seq, asked, withdrawn, tags, versions, incidents } = state;
  const facts = columns([
    ['package', name],
    ['head', head === null ? 'none' : `${head}, number ${seq}`],
    ['upstream', askedOf(asked)],
    ...(withdrawn === null ? [] : [['withdrawn', withdrawn]]),
    ...Object.entries(tags).map(([tag, version]) => [`tag ${tag}`, version]),
  ]);
  const rows = versions.map((one) => [one.version, one.state, one.time ?? '', one.pinned, one.reason ?? '']);
  const listed = rows.length === 0 ? '' : `\n${columns([['VERSION', 'STATE', 'PUBLISHED', 'PIN', 'REASON'], ...rows])}`;
  return `${facts}${listed}${incidents.length === 0 ? '' : `\n${formatIncidents(incidents)}`}`;
}

export function formatKeys(keys: readonly ListedKey[]): string {
  if (keys.length === 0) return 'the upstream shows no signing keys\n';
  const rows = keys.map(({ keyid, by, expires }) => [
    by === null ? 'waits' : 'counts',
    keyid,
    expires === null ? 'never' : shown(expires),
    by ?? '',
  ]);
  return columns([['STATE', 'KEY', 'EXPIRES', 'ACCEPTED BY'], ...rows]);
}

function askedOf(asked: PackageState['asked']): string {
  if (asked === null) return 'is asked at the next look';
  return `asked ${shown(asked.checked)}${asked.absent ? ', had no such package' : ''}`;
}

const shown = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

const call = (data: string, method: string, path: string[], body?: unknown): Promise<unknown> =>
  callAdmin(originDirOf(data), method, path, body);

function print(text: string): void {
  process.stdout.write(text);
}
