/**
 * The rule `assembly/1`: how both forms of a packument are made of blobs, byte for byte. docs/assembly.md states it for
 * other implementations.
 */

import { concat, equal, utf8 } from './bytes.ts';
import type { VersionEntry } from './head.ts';
import { ObjectCursor, readString, skipValue } from './json-scan.ts';
import type { RawMember } from './packument-split.ts';
import { finish, type Steps } from './steps.ts';

/** `full` is what the upstream says; `abbreviated` is what an install needs, and `time`. */
export type FormKind = 'full' | 'abbreviated';

/** What a form is made of, besides the blobs that the entries name. */
export type FormSource = {
  readonly name: string;
  /** Bytes of the tags blob: the dist-tags object. */
  readonly tags: Uint8Array;
  /** Bytes of the top blob, as `buildTop` makes it. */
  readonly top: Uint8Array;
  /** In the head's order. */
  readonly entries: Iterable<VersionEntry>;
};

/** Bytes as they are, or a blob (by SHA-256 in hex) with `insert` put in at the offset `cut`. */
export type FormPart =
  | { readonly bytes: Uint8Array }
  | { readonly blob: string; readonly cut: number; readonly insert: Uint8Array };

const NOTHING = new Uint8Array(0);
const COMMA = utf8(',');
const TIME = utf8('"time":');
const MODIFIED = utf8('"modified":');
const CLOSE = utf8('}');
const STEP_MEMBERS = 256;

/** Members of `time` that are not of a version; they come first. */
const PACKAGE_TIMES = ['created', 'modified'];

/**
 * The top blob: `time` first, if there is one, then the other top level members in their order.
 *
 * @param time its members come out as: created, modified, then the times of `versions`, then all others
 * @param versions in the head's order; without it, the order of `time` itself stands
 */
export function buildTop(
  time: ReadonlyMap<string, string> | null,
  rest: readonly RawMember[],
  versions: readonly string[] = [],
): Uint8Array {
  const others = rest.map((member) => member.bytes);
  return join(time === null ? others : [timeMember(time, versions), ...others]);
}

/** The times that a top blob holds: `created`, `modified` and by version; null if it has no `time`. */
export function topTime(top: Uint8Array): Map<string, string> | null {
  return finish(readTopTime(top));
}

/** {@link topTime} in steps. */
export function* readTopTime(top: Uint8Array): Steps<Map<string, string> | null> {
  if (!hasTime(top)) return null;
  const times = new Map<string, string>();
  const cursor = new ObjectCursor(top, TIME.length);
  for (let member = cursor.next(); member !== null; member = cursor.next()) {
    cursor.at = skipValue(top, member.valueStart);
    times.set(member.key, readString(top, member.valueStart, cursor.at));
    if (times.size % STEP_MEMBERS === 0) yield;
  }
  return times;
}

/**
 * URL of a tarball, in the one form that every registry and client knows.
 * @param base URL of the door or registry, without a slash at its end; empty for the form that is hashed
 */
export function tarballUrlAt(base: string, name: string, file: string): string {
  return `${base}/${name}/-/${file}`;
}

/**
 * What to concatenate for one form, in order, made as it is asked for.
 *
 * Names and file names are such that they stand in a URL as they are (core/package-name, core/npm-path).
 * @param base base URL of the door, without a slash at its end; empty for the form that a head's digests are over
 */
export function* formParts(kind: FormKind, source: FormSource, base: string): Generator<FormPart> {
  const name = utf8(`{"name":${JSON.stringify(source.name)},"dist-tags":`);
  yield { bytes: concat([name, source.tags, utf8(',"versions":{')]) };
  let separator = '';
  for (const entry of source.entries) {
    yield { bytes: utf8(`${separator}${JSON.stringify(entry.version)}:`) };
    yield versionPart(kind, entry, urlText(base, source.name, entry.file));
    separator = ',';
  }
  const top = kind === 'full' ? source.top : abbreviatedTop(source.top);
  yield { bytes: concat([CLOSE, top.length > 0 ? COMMA : NOTHING, top, CLOSE]) };
}

/** The whole form in one array, for those that are small. */
export function assemble(
  kind: FormKind,
  source: FormSource,
  base: string,
  blobs: (sha256: string) => Uint8Array,
): Uint8Array {
  const parts = [...formParts(kind, source, base)];
  return concat(parts.map((part) => ('bytes' in part ? part.bytes : splice(blobs(part.blob), part.cut, part.insert))));
}

/** One version's document: a manifest blob with the URL of its tarball at a door. */
export function manifestForm(blob: Uint8Array, cut: number, base: string, name: string, file: string): Uint8Array {
  return splice(blob, cut, urlText(base, name, file));
}

function versionPart(kind: FormKind, entry: VersionEntry, insert: Uint8Array): FormPart {
  if (kind === 'full') return { blob: entry.manifest, cut: entry.cut, insert };
  return { blob: entry.abbreviated, cut: entry.abbreviatedCut, insert };
}

function timeMember(time: ReadonlyMap<string, string>, versions: readonly string[]): Uint8Array {
  const ordered = new Set([...PACKAGE_TIMES, ...versions, ...time.keys()]);
  const members = [...ordered].flatMap((key) => {
    const value = time.get(key);
    return value === undefined ? [] : [`${JSON.stringify(key)}:${JSON.stringify(value)}`];
  });
  return utf8(`"time":{${members.join(',')}}`);
}

/** `modified`, for clients that look for it in this form, and the whole `time`. */
function abbreviatedTop(top: Uint8Array): Uint8Array {
  if (!hasTime(top)) return NOTHING;
  const modified = modifiedIn(top);
  const kept = top.subarray(0, skipValue(top, TIME.length));
  return modified === null ? kept : join([concat([MODIFIED, modified]), kept]);
}

/** The value of `modified` in the member `time`, as it stands there: before all times of versions. */
function modifiedIn(top: Uint8Array): Uint8Array | null {
  const cursor = new ObjectCursor(top, TIME.length);
  for (let member = cursor.next(); member && PACKAGE_TIMES.includes(member.key); member = cursor.next()) {
    cursor.at = skipValue(top, member.valueStart);
    if (member.key === 'modified') return top.subarray(member.valueStart, cursor.at);
  }
  return null;
}

/** `buildTop` puts it first and spells it one way, so nothing after it has to be looked at. */
function hasTime(top: Uint8Array): boolean {
  return equal(top.subarray(0, TIME.length), TIME);
}

function urlText(base: string, name: string, file: string): Uint8Array {
  return utf8(JSON.stringify(tarballUrlAt(base, name, file)).slice(1, -1));
}

function splice(bytes: Uint8Array, at: number, insert: Uint8Array): Uint8Array {
  return concat([bytes.subarray(0, at), insert, bytes.subarray(at)]);
}

function join(members: readonly Uint8Array[]): Uint8Array {
  return concat(members.flatMap((member, index) => (index === 0 ? [member] : [COMMA, member])));
}
