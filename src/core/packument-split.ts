/** Cuts a packument, as an upstream registry sends it, into byte slices, without ever parsing it as a whole. */

import { utf8 } from './bytes.ts';
import { MalformedError, TooLargeError } from './errors.ts';
import {
  expectEnd,
  isObject,
  isString,
  type MemberName,
  memberBytes,
  ObjectCursor,
  readString,
  scanUtf8,
  scanValue,
} from './json-scan.ts';
import { JSON_DEPTH_MAX, PACKUMENT_BYTES_MAX } from './limits.ts';

/** One version's manifest as it stands in the packument; nobody has looked inside yet. */
export type RawVersion = { readonly version: string; readonly bytes: Uint8Array };

/** A top level member; `bytes` is `"key":value` without white space around the colon. */
export type RawMember = { readonly key: string; readonly bytes: Uint8Array };

/** Slices are views of the packument's bytes, which stay in memory as long as any of them. */
export type SplitPackument = {
  readonly name: string;
  /** The tags whose value is a string. Has no prototype, so that a tag may have any name. */
  readonly distTags: Record<string, string>;
  readonly distTagsBytes: Uint8Array;
  /** In the document's order. */
  readonly versions: RawVersion[];
  /** Whether there is a member `versions` at all; an empty one says that there are none, a missing one says nothing. */
  readonly hasVersions: boolean;
  /** The members of `time` whose value is a string, in the document's order; null if there is no `time`. */
  readonly time: Map<string, string> | null;
  /** Whether the upstream says in `time` that the whole package was unpublished. */
  readonly unpublished: boolean;
  /** All other members, in the document's order, but for CouchDB's own. */
  readonly rest: RawMember[];
};

type Found = { -readonly [Field in keyof SplitPackument]: SplitPackument[Field] | null } & {
  versions: RawVersion[];
  rest: RawMember[];
};

const FORMAT = 'packument';

/**
 * Depth to which a manifest is passed over here. It exceeds what `takeManifest` accepts, so that one version that is too
 * deep is refused there and does not take the others with it.
 */
const MANIFEST_SCAN_DEPTH_MAX = 16 * JSON_DEPTH_MAX;

/**
 * Splits the packument of `name`. A generator that yields after each member it reads and after each 256 KiB within one,
 * so that whoever drives it can give way to others as often as they like; it returns the parts.
 *
 * Only the document's own structure can make it fail: a version that is well-formed JSON is passed on as it is.
 *
 * @throws MalformedError if the bytes are no JSON object, of another name, or have a member twice where they are cut
 * @throws TooLargeError if they exceed `PACKUMENT_BYTES_MAX`
 */
export function* splitPackument(bytes: Uint8Array, name: string): Generator<void, SplitPackument> {
  if (bytes.length > PACKUMENT_BYTES_MAX) {
    throw new TooLargeError(`the packument of ${name} has more than ${PACKUMENT_BYTES_MAX} bytes`);
  }
  yield* scanUtf8(bytes);
  const found: Found = {
    name: null,
    distTags: null,
    distTagsBytes: null,
    versions: [],
    hasVersions: null,
    time: null,
    unpublished: null,
    rest: [],
  };
  const end = yield* readEach(bytes, 0, (member) => readMember(bytes, member, found));
  expectEnd(bytes, end);
  if (found.name !== name) throw new MalformedError(FORMAT, `it is of ${found.name ?? 'no name'}, not of ${name}`);
  return complete(found, name);
}

function complete(found: Found, name: string): SplitPackument {
  return {
    name,
    distTags: found.distTags ?? Object.create(null),
    distTagsBytes: found.distTagsBytes ?? utf8('{}'),
    versions: found.versions,
    hasVersions: found.hasVersions ?? false,
    time: found.time,
    unpublished: found.unpublished ?? false,
    rest: found.rest,
  };
}

/** Lets `read` pass the value of each member of the object at `at`; returns the offset after the object. */
function* readEach(
  bytes: Uint8Array,
  at: number,
  read: (member: MemberName) => Generator<void, number>,
): Generator<void, number> {
  const cursor = new ObjectCursor(bytes, at);
  for (let member = cursor.next(); member !== null; member = cursor.next()) {
    cursor.at = yield* read(member);
    yield;
  }
  return cursor.at;
}

function* readMember(bytes: Uint8Array, member: MemberName, found: Found): Generator<void, number> {
  const at = member.valueStart;
  switch (member.key) {
    case 'name':
      return yield* readText(bytes, at, (text) => {
        found.name = text;
      });
    case 'dist-tags':
      return yield* readDistTags(bytes, at, found);
    case 'versions':
      found.hasVersions = true;
      return yield* readEach(bytes, at, (version) => readVersion(bytes, version, found));
    case 'time':
      return yield* readTime(bytes, at, found);
    case '_rev':
    case '_attachments':
      return yield* scanValue(bytes, at);
    default:
      return yield* readOther(bytes, member, found);
  }
}

function* readDistTags(bytes: Uint8Array, at: number, found: Found): Generator<void, number> {
  const tags: Record<string, string> = Object.create(null);
  const readTag = (tag: MemberName) =>
    readText(bytes, tag.valueStart, (version) => {
      tags[tag.key] = version;
    });
  const end = yield* readEach(bytes, at, readTag);
  found.distTags = tags;
  found.distTagsBytes = bytes.subarray(at, end);
  return end;
}

function* readVersion(bytes: Uint8Array, member: MemberName, found: Found): Generator<void, number> {
  const end = yield* scanValue(bytes, member.valueStart, MANIFEST_SCAN_DEPTH_MAX);
  found.versions.push({ version: member.key, bytes: bytes.subarray(member.valueStart, end) });
  return end;
}

function* readTime(bytes: Uint8Array, at: number, found: Found): Generator<void, number> {
  const time = new Map<string, string>();
  found.time = time;
  return yield* readEach(bytes, at, (member) => {
    if (member.key === 'unpublished' && isObject(bytes, member.valueStart)) found.unpublished = true;
    return readText(bytes, member.valueStart, (text) => time.set(member.key, text));
  });
}

function* readOther(bytes: Uint8Array, member: MemberName, found: Found): Generator<void, number> {
  const valueEnd = yield* scanValue(bytes, member.valueStart, JSON_DEPTH_MAX - 1);
  found.rest.push({ key: member.key, bytes: memberBytes(bytes, { ...member, valueEnd }) });
  return valueEnd;
}

/** Passes the value at `at`, and hands it to `take` if it is a string. */
function* readText(bytes: Uint8Array, at: number, take: (text: string) => void): Generator<void, number> {
  const end = yield* scanValue(bytes, at, JSON_DEPTH_MAX - 2);
  if (isString(bytes, at)) take(readString(bytes, at, end));
  return end;
}
