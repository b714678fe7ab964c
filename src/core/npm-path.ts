/**
 * Reads what an npm client asks for out of its request line: every client's spelling of the same thing gives the same
 * answer, and nothing that could be a path out of a folder, a second decoding or a header gets past here.
 *
 * A path that is malformed is a bad request; one that is well formed and can name nothing is not found.
 */

import { BadRequestError, type FederationError, NotFoundError, quote } from './errors.ts';
import { FILE_LENGTH_MAX, URL_LENGTH_MAX, VERSION_LENGTH_MAX } from './limits.ts';
import { isValidName, isValidVersion, unscoped } from './package-name.ts';

/** What a client may want to change; this says which of npm's commands stand behind a request, as far as a path tells. */
export type Change = 'publish' | 'unpublish' | 'dist-tag' | Account;

/** Parts of the npm API that exist only where there are user accounts. */
export type Account = 'login' | 'logout' | 'profile' | 'token' | 'access' | 'organisation' | 'stage' | 'hook';

export type NpmRequest =
  | { kind: 'root' | 'ping' | 'whoami' | 'keys' | 'healthz' | 'metrics' }
  /** `write`: the client is about to change the package and wants it as fresh as can be; an ordinary read otherwise. */
  | { kind: 'packument'; name: string; write: boolean }
  /** `spec`: a version or a dist-tag, as text; that it is either is for the index to say. */
  | { kind: 'manifest'; name: string; spec: string }
  | { kind: 'tarball'; name: string; file: string }
  | { kind: 'dist-tags'; name: string; tag: string | null }
  /** `query`: as it came, without the question mark. */
  | { kind: 'search'; query: string }
  | { kind: 'advisories' | 'audit' | 'audit-quick' }
  /** `spec`: `name@version`. */
  | { kind: 'attestations'; name: string; version: string; spec: string }
  /** The replication feed; of any method that asks. `query` as above. */
  | { kind: 'changes'; query: string }
  /** `path`: decoded segments after `/-/federation/`, a scoped name as two; of any method. */
  | { kind: 'federation'; path: string[]; query: string }
  /** A read that only a user with an account here could make. */
  | { kind: 'account'; what: Account }
  | { kind: 'write'; what: Change };

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE']);

/** Paths under `/-/` that have one meaning and no variable part. */
const FIXED_READS: ReadonlyMap<string, NpmRequest> = new Map<string, NpmRequest>([
  ['ping', { kind: 'ping' }],
  ['whoami', { kind: 'whoami' }],
  ['npm/v1/keys', { kind: 'keys' }],
  ['healthz', { kind: 'healthz' }],
  ['metrics', { kind: 'metrics' }],
]);

/** Questions that npm asks with a body; they change nothing. */
const FIXED_POSTS: ReadonlyMap<string, NpmRequest> = new Map<string, NpmRequest>([
  ['npm/v1/security/advisories/bulk', { kind: 'advisories' }],
  ['npm/v1/security/audits', { kind: 'audit' }],
  ['npm/v1/security/audits/quick', { kind: 'audit-quick' }],
]);

/** Beginnings of paths under `/-/` that need accounts; the first that fits says what it is about. */
const ACCOUNT_PATHS: readonly [string, Account][] = [
  ['user/token', 'logout'],
  ['user', 'login'],
  ['v1/login', 'login'],
  ['v1/done', 'login'],
  ['npm/v1/user', 'profile'],
  ['npm/v1/tokens', 'token'],
  ['npm/v1/oidc', 'token'],
  ['npm/v1/hooks', 'hook'],
  ['package', 'access'],
  ['org', 'organisation'],
  ['team', 'organisation'],
  ['stage', 'stage'],
];

/**
 * @param method of HTTP, in capitals
 * @param rawUrl the request target as it came: nothing decoded, nothing normalised (origin-form or, as RFC 9112 section
 *   3.2.2 has every server accept, absolute-form, whose authority plays no part)
 * @throws BadRequestError for a method, target or escape that no npm client sends
 * @throws NotFoundError for a path that can name nothing
 */
export function parseNpmRequest(method: string, rawUrl: string): NpmRequest {
  if (!METHODS.has(method)) throw new BadRequestError(`the method ${quote(method)} is not part of the npm API`);
  const { path, query } = splitTarget(rawUrl);
  const segments = segmentsOf(path);
  const reading = method === 'GET' || method === 'HEAD';
  const [first, ...rest] = segments;
  if (first === undefined) return onlyRead(reading, { kind: 'root' });
  if (first === '-') return apiRequest(method, reading, rest, query);
  if (isChanges(segments)) return onlyRead(reading || method === 'POST', { kind: 'changes', query });
  const named = takeName(segments);
  if (!reading) return { kind: 'write', what: packageChange(method, named.rest) };
  return packageRead(named.name, named.rest, query);
}

/** Followers name the feed alone, or below the database that it once was; no version or dist-tag has such a name. */
function isChanges(segments: readonly string[]): boolean {
  const path = segments.join('/');
  return path === '_changes' || path === 'registry/_changes';
}

/**
 * Takes a package's name off the front of decoded segments: one segment, or two for a scoped name.
 *
 * @throws NotFoundError if no package can have that name
 */
export function takeName(segments: readonly string[]): { name: string; rest: string[] } {
  const length = segments[0]?.startsWith('@') ? 2 : 1;
  const name = segments.slice(0, length).join('/');
  if (!isValidName(name)) throw new NotFoundError(`${quote(name)} is not a name that a package can have`);
  return { name, rest: segments.slice(length) };
}

/** Whether a tarball's file name is one that we hand out and look up: no path, no escape, `.tgz` or `.tar.gz`. */
export function isTarballFile(file: string): boolean {
  return file.length <= FILE_LENGTH_MAX && /^[A-Za-z0-9._~!'()*+-]+\.(?:tgz|tar\.gz)$/.test(file);
}

/** The version in a tarball's file name, `1.0.0` of `p-1.0.0.tgz` for `@s/p`; null if the file is not named that way. */
export function versionFromFile(name: string, file: string): string | null {
  const prefix = `${unscoped(name)}-`;
  const end = file.search(/\.(?:tgz|tar\.gz)$/);
  if (!file.startsWith(prefix) || end < 0) return null;
  const version = file.slice(prefix.length, end);
  return isValidVersion(version) ? version : null;
}

function splitTarget(rawUrl: string): { path: string; query: string } {
  if (rawUrl.length > URL_LENGTH_MAX) throw new BadRequestError(`the URL is longer than ${URL_LENGTH_MAX} characters`);
  if (!/^[\x21-\x7e]+$/.test(rawUrl)) throw new BadRequestError('the URL has characters that must be percent-encoded');
  if (rawUrl.includes('#')) throw new BadRequestError('the URL has a fragment, which is never sent to a server');
  const target = rawUrl.replace(/^https?:\/\/[^/?]+/i, '');
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  if (!path.startsWith('/')) throw new BadRequestError(`the URL ${quote(rawUrl)} does not begin with a slash`);
  return { path, query: mark < 0 ? '' : target.slice(mark + 1) };
}

/** No escape, no slash, not `.` or `..`. */
const PLAIN = /^@?[A-Za-z0-9_-][A-Za-z0-9._-]*$/;

/** Decoded segments. One slash at the end is let pass, and `@s%2fp` becomes the two segments that `@s/p` is. */
function segmentsOf(path: string): string[] {
  const trimmed = path.endsWith('/') ? path.slice(1, -1) : path.slice(1);
  if (trimmed === '' && path.length < 2) return [];
  // Most paths have nothing to decode and nothing to refuse.
  const segments = trimmed.split('/');
  return segments.every((segment) => PLAIN.test(segment)) ? segments : segments.flatMap(decodeSegment);
}

function decodeSegment(raw: string): string[] {
  const segment = percentDecoded(raw);
  const parts = /^@[^/]+\/[^/]+$/.test(segment) ? segment.split('/') : [segment];
  const wrong = parts.map(wrongWith).find((reason) => reason !== null);
  if (wrong) throw new BadRequestError(`the path segment ${quote(raw)} ${wrong}`);
  return parts;
}

function wrongWith(segment: string): string | null {
  if (segment === '') return 'is empty';
  if (segment === '.' || segment === '..') return 'walks through folders';
  if (segment.includes('/')) return 'has an encoded slash that is not the one of a scoped name';
  if (segment.includes('\\')) return 'has a backslash';
  if (segment.includes('%')) return 'is percent-encoded twice';
  return /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(segment) ? 'has control characters' : null;
}

/** Strict UTF-8: overlong forms, surrogates and stray bytes are refused (RFC 3629 section 3). */
function percentDecoded(raw: string): string {
  try {
    return decodeURIComponent(raw);
  } catch (cause) {
    throw new BadRequestError(`the path segment ${quote(raw)} is not percent-encoded UTF-8`, { cause });
  }
}

function packageRead(name: string, rest: readonly string[], query: string): NpmRequest {
  const [first, second, third] = rest;
  if (first === undefined) {
    return { kind: 'packument', name, write: new URLSearchParams(query).get('write') === 'true' };
  }
  if (rest.length === 1 && isSpec(first)) return { kind: 'manifest', name, spec: first };
  if (first === '-' && rest.length === 2) return tarball(name, second);
  // How npm once spelled tarballs of scoped packages: /@s/p/-/@s/p-1.0.0.tgz
  if (first === '-' && rest.length === 3 && name.startsWith(`${second}/`)) return tarball(name, third);
  throw nothingHere(`/${name}/${rest.join('/')}`);
}

function isSpec(text: string): boolean {
  return text.length <= VERSION_LENGTH_MAX && !text.startsWith('-');
}

function tarball(name: string, file = ''): NpmRequest {
  if (!isTarballFile(file))
    throw new NotFoundError(`${quote(file)} is not a tarball's file name; expected …-<version>.tgz`);
  return { kind: 'tarball', name, file };
}

function packageChange(method: string, rest: readonly string[]): Change {
  if (method === 'DELETE' || rest[0] === '-rev') return 'unpublish';
  return rest.length === 1 ? 'dist-tag' : 'publish';
}

function apiRequest(method: string, reading: boolean, rest: readonly string[], query: string): NpmRequest {
  const path = rest.join('/');
  if (rest[0] === 'federation') return { kind: 'federation', path: rest.slice(1), query };
  const fixed = reading ? FIXED_READS.get(path) : method === 'POST' ? FIXED_POSTS.get(path) : undefined;
  if (fixed) return { ...fixed };
  if (path === 'v1/search') return onlyRead(reading, { kind: 'search', query });
  if (path.startsWith('npm/v1/attestations/')) return onlyRead(reading, attestations(rest.slice(3)));
  const tags = rest[0] === 'package' ? distTags(rest.slice(1)) : null;
  if (tags) return reading ? tags : { kind: 'write', what: 'dist-tag' };
  return accountRequest(reading, path);
}

function accountRequest(reading: boolean, path: string): NpmRequest {
  const what = ACCOUNT_PATHS.find(([start]) => path === start || path.startsWith(`${start}/`))?.[1];
  if (what === undefined) throw nothingHere(`/-/${path}`);
  return { kind: reading ? 'account' : 'write', what };
}

function distTags(rest: readonly string[]): NpmRequest | null {
  const { name, rest: after } = takeName(rest);
  const [what, tag = null] = after;
  if (what === undefined) throw nothingHere(`/-/package/${name}`);
  return what === 'dist-tags' && after.length <= 2 ? { kind: 'dist-tags', name, tag } : null;
}

function attestations(rest: readonly string[]): NpmRequest {
  const spec = rest.join('/');
  const at = spec.lastIndexOf('@');
  const name = spec.slice(0, Math.max(at, 0));
  const version = spec.slice(at + 1);
  if (!isValidName(name) || !isValidVersion(version)) throw new NotFoundError(`${quote(spec)} is not <name>@<version>`);
  return { kind: 'attestations', name, version, spec };
}

function onlyRead(reading: boolean, request: NpmRequest): NpmRequest {
  if (!reading) throw new BadRequestError('this path can only be read, with GET or HEAD');
  return request;
}

function nothingHere(path: string): FederationError {
  return new NotFoundError(`nothing is at ${quote(path)}; the npm API has no such path`);
}
