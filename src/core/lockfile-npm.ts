/**
 * npm's lockfiles: package-lock.json and npm-shrinkwrap.json, lockfileVersion 1 (npm 5 and 6), 2 (npm 7 and 8) and 3.
 * Version 2 says everything twice, for old and new clients: in `packages` by path and in `dependencies` by name.
 *
 * An entry without `resolved` is taken from the configured registry by name and version, and checked against its
 * `integrity` as before; that is what npm's own `omit-lockfile-registry-resolved` writes.
 */

import { Buffer } from 'node:buffer';
import { MalformedError } from './errors.ts';
import { expectEnd, isObject, isString, type Member, readMembers, readString } from './json-scan.ts';
import {
  type Edit,
  type Lockfile,
  type LockfileEntry,
  PLAIN_ENTRY,
  sourceOf,
  strengthOf,
  unknownVersion,
} from './lockfile-entry.ts';

type Members = ReadonlyMap<string, Member>;

const VERSIONS = new Set(['1', '2', '3']);
const FOLDER = 'node_modules/';
const DEPENDENCY_KINDS = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies'];

/**
 * @param start offset of the first byte after a byte order mark
 * @throws MalformedError if it is not JSON, or no lockfile of a known version
 */
export function readNpmLockfile(bytes: Uint8Array, start = 0): Lockfile {
  const { members, end } = readMembers(bytes, start);
  expectEnd(bytes, end);
  const version = versionIn(bytes, members);
  if (!VERSIONS.has(version)) throw unknownVersion('npm', version, '1, 2 and 3');
  const byPath = [...objectsIn(bytes, members.get('packages'))];
  const asked = new Set(byPath.flatMap(([, one]) => [...remoteSpecs(bytes, one)]));
  const entries = byPath.flatMap(([path, one]) => entryByPath(bytes, path, one, asked));
  return { format: 'npm', version, entries: [...entries, ...entriesByName(bytes, members)] };
}

function versionIn(bytes: Uint8Array, members: Members): string {
  const member = members.get('lockfileVersion');
  return member === undefined ? '' : Buffer.from(bytes.subarray(member.valueStart, member.valueEnd)).toString('latin1');
}

/** Folders of the project itself, links and bundled packages come from no registry. */
function entryByPath(bytes: Uint8Array, path: string, one: Members, asked: ReadonlySet<string>): LockfileEntry[] {
  const folder = path.lastIndexOf(FOLDER);
  const isOwn = folder === -1 || one.has('link') || one.has('inBundle');
  if (isOwn) return [];
  const name = textOf(bytes, one.get('name')) ?? path.slice(folder + FOLDER.length);
  return [entryOf(bytes, one, name, textOf(bytes, one.get('version')) ?? '', asked)];
}

/** The tree of version 1. Its depth is bounded by that of the JSON. */
function* entriesByName(bytes: Uint8Array, members: Members): Generator<LockfileEntry, void> {
  for (const [key, one] of objectsIn(bytes, members.get('dependencies'))) {
    yield* entryByName(bytes, key, one);
    yield* entriesByName(bytes, one);
  }
}

/** Here `version` is a version, an alias `npm:<name>@<version>`, or where a package comes from that has none. */
function entryByName(bytes: Uint8Array, key: string, one: Members): LockfileEntry[] {
  const version = textOf(bytes, one.get('version')) ?? '';
  if (one.has('bundled')) return [];
  const alias = /^npm:(.+)@([^@]+)$/.exec(version);
  if (alias !== null) return [entryOf(bytes, one, alias[1] ?? '', alias[2] ?? '')];
  if (!version.includes(':')) return [entryOf(bytes, one, key, version)];
  const source = sourceOf(version) ?? 'remote';
  const url = source === 'remote' ? version : null;
  return [{ ...PLAIN_ENTRY, name: key, version: '', at: atOf(one), source, url, integrity: integrityOf(bytes, one) }];
}

function entryOf(
  bytes: Uint8Array,
  one: Members,
  name: string,
  version: string,
  asked: ReadonlySet<string> = new Set(),
): LockfileEntry {
  const resolved = one.get('resolved');
  const url = textOf(bytes, resolved);
  const entry = {
    ...PLAIN_ENTRY,
    name,
    version,
    at: resolved?.keyStart ?? atOf(one),
    integrity: integrityOf(bytes, one),
  };
  if (url === null || resolved === undefined) return entry;
  const source = sourceOf(url) ?? (asked.has(url) ? 'remote' : 'registry');
  if (source !== 'registry') return { ...entry, source, url: source === 'remote' ? url : null };
  const slot = { start: resolved.valueStart + 1, end: resolved.valueEnd - 1, spelling: 'plain' as const };
  return { ...entry, url, slot, omission: [removalOf([...one.values()], resolved)] };
}

/** Takes a member out together with the comma that would be left over. */
function removalOf(members: readonly Member[], member: Member): Edit {
  const index = members.indexOf(member);
  const before = members[index - 1];
  const after = members[index + 1];
  if (before !== undefined) return { start: before.valueEnd, end: member.valueEnd, text: '' };
  return { start: member.keyStart, end: after?.keyStart ?? member.valueEnd, text: '' };
}

/** URLs that the project, or a package, asks for in place of a version: `npm ci` compares them as text. */
function* remoteSpecs(bytes: Uint8Array, one: Members): Generator<string, void> {
  for (const kind of DEPENDENCY_KINDS) {
    const member = one.get(kind);
    if (member === undefined || !isObject(bytes, member.valueStart)) continue;
    for (const spec of readMembers(bytes, member.valueStart).members.values()) {
      const text = textOf(bytes, spec);
      if (text !== null && /^https?:/i.test(text)) yield text;
    }
  }
}

/** The members of an object whose values are objects, opened. */
function* objectsIn(bytes: Uint8Array, member: Member | undefined): Generator<[key: string, Members], void> {
  if (member === undefined) return;
  if (!isObject(bytes, member.valueStart)) throw new MalformedError('lockfile', `${member.key} is not an object`);
  for (const [key, one] of readMembers(bytes, member.valueStart).members) {
    if (isObject(bytes, one.valueStart)) yield [key, readMembers(bytes, one.valueStart).members];
  }
}

function integrityOf(bytes: Uint8Array, one: Members): LockfileEntry['integrity'] {
  return strengthOf(textOf(bytes, one.get('integrity')));
}

function atOf(one: Members): number {
  return one.values().next().value?.keyStart ?? 0;
}

function textOf(bytes: Uint8Array, member: Member | undefined): string | null {
  if (member === undefined || !isString(bytes, member.valueStart)) return null;
  return readString(bytes, member.valueStart, member.valueEnd);
}
