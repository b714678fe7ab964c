/**
 * bun's bun.lock: JSON with trailing commas, one array per package. That of a registry is
 * `["<name>@<version>", "<URL>", {…}, "<integrity>"]`; an empty URL means the configured registry. Packages from elsewhere
 * have no URL in second place: `["<name>@<path, URL or repository>", {…}, …]`.
 */

import {
  bytesAsText,
  type Lockfile,
  type LockfileEntry,
  PLAIN_ENTRY,
  sourceOf,
  strengthOf,
  unknownVersion,
} from './lockfile-entry.ts';
import { isValidVersion } from './package-name.ts';
import { type Child, childrenOf, skipIgnored } from './relaxed-json.ts';

const VERSIONS = new Set(['0', '1', '2']);

/** Names of the members of a document's outermost object, by which formats are told apart; null if it is none. */
export function memberNames(text: string, start: number): Set<string> | null {
  const at = skipIgnored(text, start);
  if (text[at] !== '{') return null;
  return new Set([...childrenOf(text, at)].map(({ key }) => key ?? ''));
}

/**
 * @param start offset of the first byte after a byte order mark
 * @throws MalformedError if brackets or strings are not closed, or for an unknown version
 */
export function readBunLockfile(bytes: Uint8Array, start = 0): Lockfile {
  const text = bytesAsText(bytes);
  const top = new Map([...childrenOf(text, skipIgnored(text, start))].map((child) => [child.key, child]));
  const stated = top.get('lockfileVersion');
  const version = stated === undefined ? '' : text.slice(stated.start, stated.end);
  if (!VERSIONS.has(version)) throw unknownVersion('bun', version, '0, 1 and 2');
  const packages = top.get('packages');
  const rows = packages === undefined ? [] : [...childrenOf(text, packages.start)];
  return { format: 'bun', version, entries: rows.flatMap((row) => entryOf(text, row)) };
}

function entryOf(text: string, row: Child): LockfileEntry[] {
  const [spec, second, ...others] = text[row.start] === '[' ? [...childrenOf(text, row.start)] : [];
  const stated = spec === undefined ? null : stringOf(text, spec);
  if (stated === null) return [];
  const at = stated.indexOf('@', 1);
  const entry = { ...PLAIN_ENTRY, name: stated.slice(0, at), version: stated.slice(at + 1), at: row.start };
  if (entry.version.startsWith('workspace:')) return [];
  const url = second === undefined ? null : stringOf(text, second);
  if (url === null || second === undefined || !isValidVersion(entry.version)) return [otherEntry(entry)];
  const integrity = strengthOf(stringOf(text, others.at(-1)));
  if (url === '') return [{ ...entry, integrity }];
  const slot = { start: second.start + 1, end: second.end - 1, spelling: 'plain' as const };
  return [{ ...entry, integrity, url, slot, omission: [{ start: slot.start, end: slot.end, text: '' }] }];
}

/** Everything else stands where a version would. */
function otherEntry(entry: LockfileEntry): LockfileEntry {
  const source = sourceOf(entry.version) ?? 'remote';
  return { ...entry, source, version: '', url: source === 'remote' ? entry.version : null };
}

/** Null for what is no string. Escapes do not occur in names, versions and URLs; what has some is no URL to anyone. */
function stringOf(text: string, child: Child | undefined): string | null {
  return child !== undefined && text[child.start] === '"' ? text.slice(child.start + 1, child.end - 1) : null;
}
