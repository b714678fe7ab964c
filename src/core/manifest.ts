/** One version's manifest: what is kept of it byte by byte, and what is read from it. */

import { concat, text, utf8 } from './bytes.ts';
import { MalformedError } from './errors.ts';
import { type PinnedHash, pinnedHashOf } from './integrity.ts';
import { expectEnd, isObject, type Member, memberBytes, readMembers } from './json-scan.ts';
import { JSON_DEPTH_MAX, MANIFEST_BYTES_MAX } from './limits.ts';
import { isTarballFile, versionFromFile } from './npm-path.ts';
import { isValidVersion, unscoped } from './package-name.ts';
import type { UpstreamSignature } from './upstream-signature.ts';

/** Values that stay as they were when the version was learned; a member that the manifest lacks is absent here. */
export type Pins = { readonly [key: string]: unknown };

export type Abbreviated = {
  /** The version's part of the abbreviated form (assembly/1), without the tarball's URL. */
  readonly abbreviated: Uint8Array;
  readonly abbreviatedCut: number;
};

export type TakenManifest = Abbreviated & {
  /** The manifest's bytes without the tarball's URL; the URL's quotes stay. */
  readonly manifest: Uint8Array;
  /** Offset in `manifest` at which the URL's text belongs. */
  readonly cut: number;
  /** The upstream's URL of the tarball; not checked in any way. */
  readonly tarballUrl: string;
  /** Name of the tarball's file in the URLs that we give out. */
  readonly file: string;
  /** Null if `dist` has no hash that can be used. */
  readonly pinned: PinnedHash | null;
  /** `dist` as parsed, with the upstream's URL in it. */
  readonly dist: Readonly<Record<string, unknown>>;
  readonly signatures: UpstreamSignature[];
  readonly integrity: string | null;
};

/** What changes what gets installed or run. `directories.bin` comes beside these. */
const PINNED_MEMBERS = [
  'dependencies',
  'optionalDependencies',
  'peerDependencies',
  'peerDependenciesMeta',
  'bundleDependencies',
  'bundledDependencies',
  'bin',
  'scripts',
  'hasInstallScript',
  'gypfile',
  '_hasShrinkwrap',
  'engines',
  'os',
  'cpu',
  'libc',
];

/** The members of a manifest that assembly/1 keeps in the abbreviated form. */
export const ABBREVIATED_MEMBERS: ReadonlySet<string> = new Set([
  'name',
  'version',
  'deprecated',
  'dependencies',
  'optionalDependencies',
  'devDependencies',
  'bundleDependencies',
  'bundledDependencies',
  'peerDependencies',
  'peerDependenciesMeta',
  'acceptDependencies',
  'bin',
  'directories',
  'dist',
  'engines',
  'os',
  'cpu',
  'libc',
  'funding',
  '_hasShrinkwrap',
  'hasInstallScript',
]);

const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall'];

/** Real ones have well below a hundred; without a bound, millions of empty members would hold everybody up. */
const MEMBERS_MAX = 1_000;

const START = utf8('{');
const COMMA = utf8(',');
const END = utf8('}');
const INSTALL_SCRIPT_END = utf8(',"hasInstallScript":true}');

/** The bytes that are left out of a manifest: its tarball's URL. */
type Gap = { readonly start: number; readonly end: number };

/** A manifest's bytes and where its top level members lie in them. */
type Located = { readonly bytes: Uint8Array; readonly members: ReadonlyMap<string, Member> };

/**
 * Takes one version's manifest as it stands in a packument or as the answer to `/<name>/<version>`.
 *
 * @throws MalformedError if it is not a JSON object of that name and version with a tarball, is too deep, or has a member
 * twice at its top level or in `dist`, or exceeds `MANIFEST_BYTES_MAX`: whatever is wrong is wrong with this version alone
 */
export function takeManifest(bytes: Uint8Array, name: string, version: string): TakenManifest {
  if (bytes.length > MANIFEST_BYTES_MAX) throw malformed(`it has more than ${MANIFEST_BYTES_MAX} bytes`);
  const located = locate(bytes);
  checkIdentity(located, name, version);
  const url = locateTarballUrl(located);
  const gap = { start: url.valueStart + 1, end: url.valueEnd - 1 };
  const dist = asObject(read(located, 'dist'));
  const tarballUrl = String(dist.tarball);
  return {
    manifest: cutOut(bytes, gap.start, gap.end - gap.start),
    cut: gap.start,
    ...abbreviateLocated(located, gap),
    tarballUrl,
    file: fileOf(tarballUrl, name, version),
    pinned: pinnedHashOf(dist),
    dist,
    signatures: signaturesOf(dist.signatures),
    integrity: typeof dist.integrity === 'string' ? dist.integrity : null,
  };
}

/**
 * A version's part of the abbreviated form, from its manifest blob and the offset of the cut: what `takeManifest` made
 * of it, so that whoever holds both can check one by the other.
 *
 * @throws MalformedError if the blob is not a manifest
 */
export function abbreviate(manifest: Uint8Array, cut: number): Abbreviated {
  const located = locate(manifest);
  if (!located.members.has('dist')) throw malformed('it has no dist object');
  return abbreviateLocated(located, { start: cut, end: cut });
}

/**
 * What a manifest or manifest blob pins, as parsed values.
 * @throws MalformedError if it is no JSON object
 */
export function readPins(manifest: Uint8Array): Pins {
  const located = locate(manifest);
  const pins = PINNED_MEMBERS.filter((key) => located.members.has(key)).map((key) => [key, read(located, key)]);
  const { bin } = asObject(read(located, 'directories'));
  if (bin !== undefined) pins.push(['directories.bin', bin]);
  return Object.fromEntries(pins);
}

/** Whether both have the same values; the order of an object's members does not matter. */
export function pinsEqual(a: Pins, b: Pins): boolean {
  return sameValue(a, b);
}

/** The file name that npm gives the tarball of a version. */
export function canonicalFile(name: string, version: string): string {
  return `${unscoped(name)}-${version}.tgz`;
}

function locate(bytes: Uint8Array): Located {
  text(bytes);
  const { members, end } = readMembers(bytes, 0, JSON_DEPTH_MAX, MEMBERS_MAX);
  expectEnd(bytes, end);
  return { bytes, members };
}

function checkIdentity(located: Located, name: string, version: string): void {
  if (!isValidVersion(version)) throw malformed(`${JSON.stringify(version)} is no version`);
  if (read(located, 'name') !== name) throw malformed(`its name is not ${name}`);
  if (read(located, 'version') !== version) throw malformed(`its version is not ${version}`);
}

/** The member `tarball` of `dist`; its value is a string that is not empty. */
function locateTarballUrl({ bytes, members }: Located): Member {
  const dist = members.get('dist');
  if (dist === undefined || !isObject(bytes, dist.valueStart)) throw malformed('it has no dist object');
  const url = readMembers(bytes, dist.valueStart, JSON_DEPTH_MAX - 1, MEMBERS_MAX).members.get('tarball');
  const value = url && valueIn(bytes, url);
  if (url === undefined || typeof value !== 'string' || value === '') throw malformed('its dist has no tarball URL');
  return url;
}

/** The abbreviated members in the manifest's order, without the gap, which lies in `dist`. */
function abbreviateLocated(located: Located, gap: Gap): Abbreviated {
  const kept = [...located.members.values()].filter((member) => ABBREVIATED_MEMBERS.has(member.key));
  const parts: Uint8Array[] = [];
  let length = 0;
  let abbreviatedCut = 0;
  for (const member of kept) {
    const part = memberBytes(located.bytes, member);
    parts.push(parts.length === 0 ? START : COMMA, part);
    length += 1 + part.length;
    if (member.key === 'dist') abbreviatedCut = length - (member.valueEnd - gap.start);
  }
  const whole = concat([...parts, needsInstallScript(located) ? INSTALL_SCRIPT_END : END]);
  return { abbreviated: cutOut(whole, abbreviatedCut, gap.end - gap.start), abbreviatedCut };
}

/** Whether clients would have to know of a script that only the full form shows. */
function needsInstallScript(located: Located): boolean {
  if (located.members.has('hasInstallScript')) return false;
  const scripts = asObject(read(located, 'scripts'));
  const runs = INSTALL_SCRIPTS.some((key) => typeof scripts[key] === 'string' && scripts[key] !== '');
  return runs || read(located, 'gypfile') === true;
}

function fileOf(tarballUrl: string, name: string, version: string): string {
  const file = tarballUrl.replace(/[?#].*$/s, '').replace(/^.*\//s, '');
  const named = versionFromFile(name, file);
  return isTarballFile(file) && (named === null || named === version) ? file : canonicalFile(name, version);
}

function signaturesOf(value: unknown): UpstreamSignature[] {
  if (!Array.isArray(value)) return [];
  return value.map(asObject).flatMap(({ keyid, sig }) => {
    return typeof keyid === 'string' && typeof sig === 'string' ? [{ keyid, sig }] : [];
  });
}

function read({ bytes, members }: Located, key: string): unknown {
  const member = members.get(key);
  return member && valueIn(bytes, member);
}

function valueIn(bytes: Uint8Array, { valueStart, valueEnd }: Member): unknown {
  return JSON.parse(text(bytes.subarray(valueStart, valueEnd)));
}

/** Whether two values of JSON are the same; as deep as JSON may be here, so recursion is bounded. */
function sameValue(a: unknown, b: unknown): boolean {
  if (!isContainer(a) || !isContainer(b)) return a === b;
  const keys = Object.keys(a);
  if (Array.isArray(a) !== Array.isArray(b) || keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && sameValue(a[key], b[key]));
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** The value if it is an object of JSON, else an empty one. */
function asObject(value: unknown): Record<string, unknown> {
  return isContainer(value) && !Array.isArray(value) ? value : {};
}

function cutOut(bytes: Uint8Array, at: number, length: number): Uint8Array {
  return concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
}

function malformed(reason: string): MalformedError {
  return new MalformedError('manifest', reason);
}
