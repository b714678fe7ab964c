/**
 * The tables of a metadata store: their names and the rows that they hold.
 *
 * Derived tables are a cache of the fold over the log and can be rebuilt from it at any time. An origin folds more
 * (core/fold.ts) than a mirror, which does without the blobs that entries name (core/fold-names.ts).
 * Local tables hold what only this machine knows; nothing in them is ever journaled.
 */

/** Separates the parts of a compound key; it occurs in no name, version or hash. */
export const KEY_SEPARATOR = '\u0000';

/** Key of a row in `version`, `withdrawn`, `ahead`, `told`, `listed` and `tarball-url`. */
export const versionKey = (name: string, version: string): string => `${name}${KEY_SEPARATOR}${version}`;

/** Prefix that `scan` takes to read all versions of a package. */
export const versionPrefix = (name: string): string => `${name}${KEY_SEPARATOR}`;

/** The name out of such a key, or out of one that is a name. */
export const nameOfKey = (key: string): string => key.split(KEY_SEPARATOR, 1)[0] ?? key;

/** Key of a row in `pinned`. */
export const pinKey = (pinned: string, name: string, version: string): string =>
  [pinned, name, version].join(KEY_SEPARATOR);

/** Prefix that `scan` takes to read all versions that pin a hash. */
export const pinPrefix = (pinned: string): string => `${pinned}${KEY_SEPARATOR}`;

/** The version out of a key made by {@link versionKey}. */
export const versionOfKey = (key: string): string => key.slice(key.indexOf(KEY_SEPARATOR) + 1);

/** By name. `head` is null while only single versions are learned. */
export type PackageRow = {
  readonly head: string | null;
  readonly seq: number;
  readonly withdrawn: Withdrawal | null;
};

/**
 * By name and version.
 * `listed`: part of the current head. `learned`: known by a `learned-version` entry only, waits for the next head.
 * `withdrawn`: no longer available, though pinned for ever.
 */
export type VersionRow = {
  readonly state: 'listed' | 'learned' | 'withdrawn';
  readonly manifest: string;
  readonly cut: number;
  readonly file: string;
  readonly abbreviated: string;
  readonly abbreviatedCut: number;
  /** As `formatPinned` writes it: `sha512:<hex>` or `sha1:<hex>`. */
  readonly pinned: string;
  /** Publish time as the upstream wrote it, or null where it said none. */
  readonly time: string | null;
  readonly reason: string | null;
};

/**
 * By pinned hash, name and version ({@link pinKey}): every version that pins a hash. Different packages may have the same
 * bytes, and the withdrawal of one is none of the other.
 */
export type PinnedRow = { readonly name: string; readonly version: string };

/** By sha512 of a tarball whose pin is weaker: the pin it satisfies. */
export type ContentRow = { readonly pinned: string };

/** By pinned hash: what the tarball's bytes were seen to be. `size` in bytes. */
export type MeasuredRow = {
  readonly sha512: string;
  readonly size: number;
  readonly chunks: string;
  readonly list: string;
};

/** By key id. `expires` in unix ms. */
export type UpstreamKeyRow = {
  readonly keytype: string;
  readonly scheme: string;
  readonly key: string;
  readonly expires: number | null;
  readonly by: 'first-sight' | 'admin';
};

/** By host id. Times in unix ms. */
export type HostRow = {
  readonly url: string;
  readonly key: string;
  readonly admitted: number;
  readonly evicted: string | null;
};

/** A key that signs the log, by its vkey, as the log itself says: from that entry on, in place of the key before it. */
export type LogKeyRow = {
  /** Vkey of the key that it followed. */
  readonly previous: string;
  /** Unix ms: the entry's time. */
  readonly since: number;
  /** Base64 of the root key's signature over the change. */
  readonly signature: string;
};

/** What an entry says of a withdrawal. `at` is the entry's time in unix ms, `deadline` in seconds. */
export type Withdrawal = { readonly reason: string; readonly at: number; readonly deadline: number };

/** At a mirror, by name: what the log says last of a package. */
export type NameRow = {
  /** SHA-256 of the head; null where only single versions are known, or the whole package is withdrawn. */
  readonly head: string | null;
  /** Which entry says so, from 0. */
  readonly index: number;
  /** Set while the whole package is withdrawn. */
  readonly withdrawn: Withdrawal | null;
};

/**
 * At a mirror, by name and version, `*` for a whole package: what the log withdrew, and what still says which bytes that
 * were: at this withdrawal and at earlier ones of the same, the latest first.
 */
export type WithdrawnRow = Withdrawal & {
  /** SHA-256 of the heads before them. */
  readonly heads: readonly string[];
  /** SHA-256 of version entries that were told alone. */
  readonly entries: readonly string[];
  readonly index: number;
};

/** At a mirror, by name and version: a version that the log tells ahead of the package's next head. */
export type AheadRow = {
  /** SHA-256 of the version entry. */
  readonly entry: string;
  readonly index: number;
};

/** At a mirror, by name and version: a version that the log once told alone. A head came since, which may lack it. */
export type ToldRow = {
  /** SHA-256 of the version entry. */
  readonly entry: string;
};

/** By name: when the upstream was last asked (unix ms) and what is needed to ask it conditionally. */
export type UpstreamRow = {
  readonly checked: number;
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** SHA-256 of the document's bytes, for upstreams without validators. */
  readonly body: string | null;
  /** True when the upstream answered that there is no such package. */
  readonly absent: boolean;
};

/** By name and version: where the upstream keeps the tarball. */
export type TarballUrlRow = { readonly url: string };

/** By `<kind>` + separator + subject: something that an operator should know of, the first and last time it was seen. */
export type IncidentRow = {
  readonly kind: string;
  readonly subject: string;
  readonly detail: string;
  readonly first: number;
  readonly last: number;
  readonly count: number;
};

/** By host id: what an operator applied with, and whether that stands. */
export type ApplicationRow = {
  readonly url: string;
  readonly key: string;
  readonly exchange: string;
  readonly private: boolean;
  readonly operator: string | null;
  readonly software: string | null;
  readonly applied: number;
  readonly approved: boolean;
  /** Why a private host was evicted; for any other the journal says it. */
  readonly evicted: string | null;
};

/** By host id. */
export type SuspensionRow = { readonly since: number; readonly reason: string };

/** By name, at a mirror with a door: what only this machine knows of the package. */
export type FollowedRow = {
  /** SHA-256 of the newest head whose content was held whole; null for none. What the log names may be newer. */
  readonly head: string | null;
  /** When the origin was last asked to look at it, unix ms. */
  readonly checked: number;
};

/** By name and version, at a mirror with a door: what the log said of a version whose package is not held whole. */
export type ListedRow = {
  /** The version entry's line. */
  readonly entry: string;
  /** Which entry of the log said it, itself or by its head. */
  readonly index: number;
};

/** By pinned hash, at a mirror with a door: the sha512 of bytes that were seen to satisfy a weaker pin. */
export type SatisfiedRow = { readonly sha512: string };

/** At a mirror, by sha512 of a tarball: bytes that were withdrawn and removed; due by `since` + `deadline`. Local. */
export type TombstoneRow = {
  readonly name: string;
  readonly version: string;
  readonly reason: string;
  /** Unix ms: when this mirror held the entry. */
  readonly since: number;
  /** Seconds from then. */
  readonly deadline: number;
};

/** By setting's name. */
export type SettingRow = { readonly value: string };

/** Every table with the type of its rows. */
export type Tables = {
  package: PackageRow;
  version: VersionRow;
  pinned: PinnedRow;
  content: ContentRow;
  measured: MeasuredRow;
  'upstream-key': UpstreamKeyRow;
  host: HostRow;
  'log-key': LogKeyRow;
  name: NameRow;
  withdrawn: WithdrawnRow;
  ahead: AheadRow;
  told: ToldRow;
  upstream: UpstreamRow;
  'tarball-url': TarballUrlRow;
  incident: IncidentRow;
  application: ApplicationRow;
  suspension: SuspensionRow;
  followed: FollowedRow;
  listed: ListedRow;
  satisfied: SatisfiedRow;
  tombstone: TombstoneRow;
  setting: SettingRow;
};

export type TableName = keyof Tables;

/** Tables that are a fold over the log, of either role: what a role does not fold is empty there. */
export const DERIVED_TABLES = [
  'package',
  'version',
  'pinned',
  'content',
  'measured',
  'upstream-key',
  'host',
  'log-key',
  'name',
  'withdrawn',
  'ahead',
  'told',
] as const satisfies readonly TableName[];

/** One row to write, or to delete where `row` is null. */
export type Change = {
  [T in TableName]: { readonly table: T; readonly key: string; readonly row: Tables[T] | null };
}[TableName];

/** Makes a {@link Change} with the row's type checked against its table. */
export const change = <T extends TableName>(table: T, key: string, row: Tables[T] | null): Change =>
  ({ table, key, row }) as Change;
