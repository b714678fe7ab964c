/** URLs of tarballs as registries spell them, and what they say of the package behind them. */

import { parse as parseSemver } from 'semver';
import { quote, UsageError } from './errors.ts';
import { isValidName, isValidVersion, scopeOf, unscoped } from './package-name.ts';

/** What a tarball's URL turns out to be, beside the name and version that an entry gives. */
export type JudgedUrl =
  /** This package's and version's. `base`: all before the name, no slash at its end. `file`: decoded. */
  | { readonly kind: 'tarball'; readonly base: string; readonly file: string; readonly derivable: boolean }
  /** A registry's URL of another package or version. */
  | { readonly kind: 'mismatch'; readonly names: string }
  /** Not a path that registries give their tarballs. */
  | { readonly kind: 'other' };

const OTHER: JudgedUrl = { kind: 'other' };
const EXTENSION = '.tgz';

type Parts = { name: string; file: string; before: number };

/**
 * Judges a URL by its path. Three forms are known, scoped names in one segment or two, with any base before them:
 * `<name>/-/<file>`; `<name>/download/<file>`, as cnpm's registries had it; `<name>/<version>/<file>`, as their file
 * servers have it. The first two take a file with the scope in front, too. A query says nothing of the package.
 */
export function judgeUrl(url: string, name: string, version: string): JudgedUrl {
  const parsed = URL.parse(url);
  const segments = parsed !== null && /^https?:$/.test(parsed.protocol) ? decodedSegments(parsed.pathname) : null;
  if (parsed === null || segments === null || !isValidName(name) || !isValidVersion(version)) return OTHER;
  const parts = partsBySeparator(segments) ?? partsByVersion(segments, name, version);
  if (parts === null) return OTHER;
  if (parts.name !== name || !isFileOf(parts.file, name, version)) {
    return { kind: 'mismatch', names: `${parts.name}/${parts.file}` };
  }
  const base = baseOf(parsed.origin, segments.slice(0, parts.before));
  return { kind: 'tarball', base, file: parts.file, derivable: parts.file === fileOf(name, version) };
}

/** Whether a base of `judgeUrl` is this registry's, however its path is percent-encoded. */
export function isAt(base: string, registry: string): boolean {
  const parsed = URL.parse(registry);
  const segments = parsed === null ? null : decodedSegments(parsed.pathname.replace(/\/+$/, ''));
  return parsed !== null && segments !== null && base === baseOf(parsed.origin, segments);
}

/** Host and port, or the scheme if there is no host; for tables. Never credentials. */
export function hostOf(url: string): string {
  const parsed = URL.parse(url);
  return parsed?.host || 'no host';
}

/**
 * A registry's base URL in one spelling: no slash at its end. It may have a path, as registries in companies do.
 *
 * @throws UsageError if it is not an http(s) URL, or has a query, a fragment or credentials: those would end up in a file
 *   that is shared
 */
export function parseRegistryUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`${quote(text)} is not an http or https URL; write one such as https://registry.example`);
  }
  if (url.username || url.password || url.search || url.hash) {
    throw new UsageError('a registry URL has no user, password, query or fragment: it would be kept in the lockfile');
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

function baseOf(origin: string, segments: readonly string[]): string {
  return [origin, ...segments.map(encodeURIComponent)].join('/');
}

/** Null if a segment is not percent-encoded UTF-8. An encoded slash parts segments: scoped names are spelled so. */
function decodedSegments(pathname: string): string[] | null {
  try {
    return decodeURIComponent(pathname).split('/').slice(1);
  } catch {
    return null;
  }
}

function partsBySeparator(segments: readonly string[]): Parts | null {
  const at = Math.max(segments.lastIndexOf('-'), segments.lastIndexOf('download'));
  const rest = segments.slice(at + 1);
  const [name, before] = nameBefore(segments, at);
  const file = rest.at(-1) ?? '';
  if (name === '' || !file.endsWith(EXTENSION)) return null;
  if (rest.length === 1) return { name, file, before };
  return rest.length === 2 && rest[0] === scopeOf(name) ? { name, file, before } : null;
}

/** Only if it is this name and version: nothing else tells such a path from any other. */
function partsByVersion(segments: readonly string[], name: string, version: string): Parts | null {
  const at = segments.length - 2;
  const [found, before] = nameBefore(segments, at);
  const file = segments.at(-1) ?? '';
  const fits = found === name && segments[at] === version && isFileOf(file, name, version);
  return fits ? { name, file, before } : null;
}

/** The name whose last segment stands before `at`, and how many segments stand before it. */
function nameBefore(segments: readonly string[], at: number): [name: string, before: number] {
  const last = segments[at - 1] ?? '';
  const scope = segments[at - 2] ?? '';
  return scope.startsWith('@') ? [`${scope}/${last}`, at - 2] : [last, at - 1];
}

function fileOf(name: string, version: string): string {
  return `${unscoped(name)}-${version}${EXTENSION}`;
}

/** Old tarballs are named after a version as it was once written: `p-1.0.0beta.tgz` is 1.0.0-beta. */
function isFileOf(file: string, name: string, version: string): boolean {
  const start = `${unscoped(name)}-`;
  if (!file.startsWith(start) || !file.endsWith(EXTENSION)) return false;
  const written = file.slice(start.length, -EXTENSION.length);
  if (written === version) return true;
  return isValidVersion(written) && parseSemver(written, { loose: true })?.version === version;
}
