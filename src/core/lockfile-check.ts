/** What a lockfile says of the registries that it needs, and what each client makes of that. */

import type { Lockfile, LockfileEntry, LockfileFormat } from './lockfile-entry.ts';
import { hostOf, isAt, judgeUrl } from './lockfile-url.ts';

export type HostCount = { readonly host: string; readonly count: number };

/** Whether an install from the lockfile alone gets all packages from a registry. */
export type Verdict = { readonly client: string; readonly works: boolean; readonly why: string };

export type LockfileReport = {
  /** Entries of registries, and how many of those have a URL. */
  readonly packages: number;
  readonly named: number;
  /** Hosts of those URLs, most frequent first. */
  readonly hosts: readonly HostCount[];
  /** Without any hash, with no better one than sha1, and with the URL of another package or version. */
  readonly unhashed: readonly LockfileEntry[];
  readonly weak: readonly LockfileEntry[];
  readonly mismatched: readonly LockfileEntry[];
  /** From git, files, links, and URLs that are no registry's. */
  readonly elsewhere: readonly LockfileEntry[];
};

/** What each client does with an entry that has no hash, as measured (docs/clients.md). */
export const WITHOUT_HASH: Readonly<Record<LockfileFormat, string>> = {
  npm: 'npm installs whatever the server sends for them',
  pnpm: 'pnpm 11 and 12 refuse them',
  'yarn-1': 'yarn 1 installs whatever the server sends for them',
  'yarn-4': 'yarn takes what the server sends, and records that',
  bun: 'bun installs whatever the server sends for them',
};

export function reportOf(lockfile: Lockfile): LockfileReport {
  const elsewhere: LockfileEntry[] = [];
  const registry: LockfileEntry[] = [];
  const mismatched: LockfileEntry[] = [];
  for (const entry of lockfile.entries) {
    const kind = kindOf(entry);
    if (kind === 'elsewhere') elsewhere.push(entry);
    else registry.push(entry);
    if (kind === 'mismatch') mismatched.push(entry);
  }
  const urls = registry.flatMap(({ url }) => (url === null ? [] : [url]));
  return {
    packages: registry.length,
    named: urls.length,
    hosts: countHosts(urls),
    unhashed: registry.filter(({ integrity }) => integrity === 'none'),
    weak: registry.filter(({ integrity }) => integrity === 'sha1'),
    mismatched,
    elsewhere,
  };
}

/**
 * What each client that reads this format does if `registry` is configured.
 *
 * @param registry as `parseRegistryUrl` gives it
 * @param replaced the registry whose host npm takes for whichever is configured (its `replace-registry-host`); null if
 *   that is not known
 */
export function verdictsOf(lockfile: Lockfile, registry: string, replaced: string | null): Verdict[] {
  const replacedHost = replaced === null ? null : hostOf(replaced);
  const away = lockfile.entries.filter((entry) => kindOf(entry) !== 'elsewhere' && isAway(entry, registry));
  const forNpm = away.filter((entry) => kindOf(entry) === 'mismatch' || hostOf(entry.url ?? '') !== replacedHost);
  switch (lockfile.format) {
    case 'npm':
      return [
        ...(lockfile.version === '3' ? [] : [verdict('npm 6', forNpm, asks)]),
        verdict('npm 7 to 11', forNpm, asks),
        verdict('npm 12', forNpm, (hosts) => `refuses the URLs at ${hosts} (EALLOWREMOTE)`),
      ];
    case 'pnpm':
      return [verdict('pnpm', away, asks)];
    case 'yarn-1':
      return [verdict('yarn 1', away, asks)];
    case 'yarn-4':
      return [verdict('yarn 2 to 4', away, asks)];
    case 'bun':
      return [verdict('bun', away, asks)];
  }
}

function kindOf(entry: LockfileEntry): 'registry' | 'mismatch' | 'elsewhere' {
  if (entry.source !== 'registry') return 'elsewhere';
  if (entry.url === null) return 'registry';
  const { kind } = judgeUrl(entry.url, entry.name, entry.version);
  return kind === 'tarball' ? 'registry' : kind === 'mismatch' ? kind : 'elsewhere';
}

/** A URL of another package is away from every registry: nobody should install from it. */
function isAway({ url, name, version }: LockfileEntry, registry: string): boolean {
  if (url === null) return false;
  const judged = judgeUrl(url, name, version);
  return judged.kind !== 'tarball' || !isAt(judged.base, registry);
}

function verdict(client: string, away: readonly LockfileEntry[], why: (hosts: string) => string): Verdict {
  if (away.length === 0) return { client, works: true, why: 'asks that registry for everything' };
  const hosts = countHosts(away.map(({ url }) => url ?? ''));
  return { client, works: false, why: why(hosts.map(({ host, count }) => `${host} (${count})`).join(', ')) };
}

function asks(hosts: string): string {
  return `asks ${hosts} instead`;
}

function countHosts(urls: readonly string[]): HostCount[] {
  const counts = new Map<string, number>();
  for (const url of urls) counts.set(hostOf(url), (counts.get(hostOf(url)) ?? 0) + 1);
  const hosts = [...counts].map(([host, count]) => ({ host, count }));
  return hosts.sort((a, b) => b.count - a.count || (a.host < b.host ? -1 : 1));
}
