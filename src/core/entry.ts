/**
 * Journal entries: the final leaves of the log (docs/protocol.md, "Journal entries"). Each value has exactly one form in
 * bytes, and {@link parseEntry} and {@link formatEntry} are inverse.
 */

import { equal, fromBase64, utf8 } from './bytes.ts';
import { ED25519_SIGNATURE_BYTES } from './ed25519.ts';
import { MalformedError, quote } from './errors.ts';
import {
  base64Field,
  type Field,
  type Fields,
  linesOf,
  nameField,
  number,
  oneOf,
  orDash,
  pinnedField,
  readFields,
  reasonField,
  serverUrlField,
  sha256Field,
  sha512Field,
  showFields,
  textField,
  versionField,
  visibleAscii,
} from './fields.ts';
import { sha256Hex } from './hash.ts';
import type { PinnedHash } from './integrity.ts';
import { ENTRY_BYTES_MAX } from './limits.ts';
import { hostIdOf, parseVkey } from './note.ts';

/** What every entry has: when it was appended, unix ms, never before the entry in front of it. */
type Timed = { readonly time: number };

/** A package's head is now this one (sha256). */
export type Learned = Timed & { readonly kind: 'learned'; readonly name: string; readonly head: string };

/** A version known ahead of the next head; `entry` is the sha256 of its version entry. */
export type LearnedVersion = Timed & {
  readonly kind: 'learned-version';
  readonly name: string;
  readonly version: string;
  readonly entry: string;
};

/** What a tarball was seen to be when it first passed. */
export type Measured = Timed & {
  readonly kind: 'measured';
  readonly pinned: PinnedHash;
  readonly sha512: string;
  /** Bytes. */
  readonly size: number;
  /** Root over the chunk list. */
  readonly chunks: string;
  /** sha256 of the chunk list. */
  readonly list: string;
};

/** A version, or with `*` a whole package, must no longer be served. */
export type Withdraw = Timed & {
  readonly kind: 'withdraw';
  readonly name: string;
  readonly version: string;
  /** Seconds that a holder has, from when it holds the entry. */
  readonly deadline: number;
  readonly reason: string;
};

/** By an admin's order a version is pinned anew, in place of what was pinned before. */
export type Repin = Timed & {
  readonly kind: 'repin';
  readonly name: string;
  readonly version: string;
  /** sha256 of the version entry that counts from now on. */
  readonly entry: string;
  readonly reason: string;
};

/** A key of the upstream that counts from now on. */
export type UpstreamKey = Timed & {
  readonly kind: 'upstream-key';
  readonly keyid: string;
  readonly keytype: string;
  readonly scheme: string;
  /** Base64 of the SubjectPublicKeyInfo. */
  readonly key: string;
  /** Unix ms, null for never. */
  readonly expires: number | null;
  readonly by: 'first-sight' | 'admin';
};

/** A host is one of ours. */
export type HostAdmit = Timed & {
  readonly kind: 'host-admit';
  readonly host: string;
  readonly url: string;
  /** Vkey of its identity key. */
  readonly key: string;
};

/** A host is no longer one of ours. */
export type HostEvict = Timed & { readonly kind: 'host-evict'; readonly host: string; readonly reason: string };

/** The log's key is another one from here on: it signs every checkpoint that covers this entry (core/log-key.ts). */
export type LogKey = Timed & {
  readonly kind: 'log-key';
  /** Vkeys; their name is the log's. */
  readonly previous: string;
  readonly key: string;
  /** Base64 of the root key's signature. */
  readonly signature: string;
};

/** Ends every checkpoint that is published. */
export type Commit = Timed & { readonly kind: 'commit' };

export type Entry =
  | Learned
  | LearnedVersion
  | Measured
  | Withdraw
  | Repin
  | UpstreamKey
  | HostAdmit
  | HostEvict
  | LogKey
  | Commit;
export type EntryKind = Entry['kind'];
type FieldsOfKind<K extends EntryKind> = Fields<Omit<Extract<Entry, { kind: K }>, 'kind'>>;

const time = number;
const token = visibleAscii(256);

/** Identity of a host: the first 16 hex digits of its public key's SHA-256. */
const host: Field<string> = textField('16 lower-case hex digits', (text) => /^[0-9a-f]{16}$/.test(text));

const allVersions = oneOf('*');
const versionOrAll: Field<string> = {
  expected: `${versionField.expected}; or * for the whole package`,
  read: (text) => versionField.read(text) ?? allVersions.read(text),
  show: (version) => version,
};

const identityKey: Field<string> = textField(
  'a vkey named host/<host id>, with the id that follows from its key',
  (text) => parseVkey(text).name === `host/${hostIdOf(parseVkey(text).publicKey)}`,
);

const vkey: Field<string> = textField('a vkey', (text) => parseVkey(text).name !== '');

const signature: Field<string> = textField(
  `base64 of ${ED25519_SIGNATURE_BYTES} bytes`,
  (text) => fromBase64(text).length === ED25519_SIGNATURE_BYTES,
);

/** First line of each kind. `commit/0` carries nothing; a later version will carry the map's root. */
const FORMATS: { readonly [K in EntryKind]: string } = {
  learned: 'learned/1',
  'learned-version': 'learned-version/1',
  measured: 'measured/1',
  withdraw: 'withdraw/1',
  repin: 'repin/1',
  'upstream-key': 'upstream-key/1',
  'host-admit': 'host-admit/1',
  'host-evict': 'host-evict/1',
  'log-key': 'log-key/1',
  commit: 'commit/0',
};
const KINDS = new Map(Object.entries(FORMATS).map(([kind, format]) => [format, kind as EntryKind]));
const FIRST_LINES = new Map([...KINDS].map(([format, kind]) => [kind, utf8(`${format}\n`)]));

/** For each kind its lines, in order. */
const FIELDS: { readonly [K in EntryKind]: FieldsOfKind<K> } = {
  learned: { time, name: nameField, head: sha256Field },
  'learned-version': { time, name: nameField, version: versionField, entry: sha256Field },
  measured: {
    time,
    pinned: pinnedField,
    sha512: sha512Field,
    size: number,
    chunks: sha256Field,
    list: sha256Field,
  },
  withdraw: { time, name: nameField, version: versionOrAll, deadline: number, reason: reasonField },
  repin: { time, name: nameField, version: versionField, entry: sha256Field, reason: reasonField },
  'upstream-key': {
    time,
    keyid: token,
    keytype: token,
    scheme: token,
    key: base64Field,
    expires: orDash(number),
    by: oneOf('first-sight', 'admin'),
  },
  'host-admit': { time, host, url: serverUrlField, key: identityKey },
  'host-evict': { time, host, reason: reasonField },
  'log-key': { time, previous: vkey, key: vkey, signature },
  commit: { time },
};

/**
 * The bytes of an entry.
 * @throws MalformedError if a value has no canonical form or contradicts another one
 */
export function formatEntry(entry: Entry): Uint8Array {
  const format = FORMATS[entry.kind];
  checkAgreement(format, entry);
  const bytes = utf8(`${format}\n${showFields(format, FIELDS[entry.kind] as Fields<Entry>, entry)}`);
  if (bytes.length <= ENTRY_BYTES_MAX) return bytes;
  throw new MalformedError(format, `${bytes.length} bytes, at most ${ENTRY_BYTES_MAX} are allowed`);
}

/**
 * The entry that these bytes are.
 * @throws MalformedError unless they are exactly what {@link formatEntry} gives for some entry, naming line and reason
 */
export function parseEntry(bytes: Uint8Array): Entry {
  const [first = '', ...rest] = linesOf('journal entry', bytes, ENTRY_BYTES_MAX);
  const kind = kindOf(first);
  const fields = readFields(first, FIELDS[kind] as Fields<Entry>, rest, 2);
  const entry = { ...fields, kind } as Entry;
  checkAgreement(first, entry);
  return entry;
}

/**
 * Whether these bytes begin as an entry of that kind does, and nothing more: to pass over what is of no interest in a
 * long log at a fraction of what reading it costs.
 */
export function looksLike(kind: EntryKind, bytes: Uint8Array): boolean {
  const line = FIRST_LINES.get(kind) as Uint8Array;
  return equal(bytes.subarray(0, line.length), line);
}

/**
 * What a batch is sorted by before it is appended: SHA-256 of the name in hex, so that the order says nothing of who
 * asked first; the empty string, which sorts first, for entries without a name.
 */
export function entrySortKey(entry: Entry): string {
  return 'name' in entry ? sha256Hex(utf8(entry.name)) : '';
}

function kindOf(line: string): EntryKind {
  const kind = KINDS.get(line);
  if (kind !== undefined) return kind;
  const reason = `${quote(line)} is no kind of entry that this version knows (${[...KINDS.keys()].join(', ')})`;
  throw new MalformedError('journal entry', reason, { line: 1 });
}

/** Values that follow from one another are in the entry for its readers; they must not be able to differ. */
function checkAgreement(format: string, entry: Entry): void {
  if (entry.kind === 'measured' && entry.pinned.algorithm === 'sha512' && entry.pinned.hex !== entry.sha512) {
    throw new MalformedError(format, 'the tarball is pinned by another sha512 than it has', { line: 4 });
  }
  if (entry.kind === 'host-admit' && parseVkey(entry.key).name !== `host/${entry.host}`) {
    throw new MalformedError(format, `the key is not the one of host ${entry.host}`, { line: 5 });
  }
  if (entry.kind === 'log-key' && (logOf(entry.key) !== logOf(entry.previous) || entry.key === entry.previous)) {
    throw new MalformedError(format, 'the key is not another one of the same log', { line: 4 });
  }
}

const logOf = (key: string): string => parseVkey(key).name;
