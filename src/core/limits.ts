/**
 * Every maximum in one place, so that a reader sees what a stranger can make us hold or do. Units stand last in the
 * names. Formats that carry a limit of their own (entries, reasons) state it in docs/protocol.md too.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** The largest packument is about 40 MB; three times that leaves room for years. Decoded size. */
export const PACKUMENT_BYTES_MAX = 128 * MIB;
/**
 * Packuments in memory at once, from their first byte until they are taken in, by how many bytes each has: 384 MiB in
 * all if each is as large as it may be.
 */
export const PACKUMENT_ROOMS = [
  { fromBytes: 0, places: 64 },
  { fromBytes: MIB, places: 8 },
  { fromBytes: 8 * MIB, places: 2 },
] as const;
/**
 * Entry bundles in memory at once before they are proven, by how many bytes each has: 64 MiB in all if a liar makes them as
 * large as the format lets them be. Those of today's entries have some tens of kilobytes.
 */
export const BUNDLE_ROOMS = [
  { fromBytes: 0, places: 8 },
  { fromBytes: 4 * MIB, places: 2 },
] as const;
export const TARBALL_BYTES_MAX = GIB;
/** One version's manifest. */
export const MANIFEST_BYTES_MAX = 4 * MIB;
/** Levels of arrays and objects within each other in any JSON that we read. */
export const JSON_DEPTH_MAX = 64;

/** Names and versions as npm itself bounds them. */
export const NAME_LENGTH_MAX = 214;
export const VERSION_LENGTH_MAX = 256;
/** File name of a tarball: name, version and extension fit. */
export const FILE_LENGTH_MAX = 512;
export const URL_LENGTH_MAX = 8 * KIB;

/** C2SP tlog-tiles gives an entry's length 16 bits. */
export const ENTRY_BYTES_MAX = 65_535;
/** Characters of a withdrawal's or eviction's reason. */
export const REASON_LENGTH_MAX = 1_000;
/** Version entries in one page blob. */
export const PAGE_ENTRIES = 256;
/** Pages that a head may name: a quarter of a million versions. */
export const HEAD_PAGES_MAX = 1_024;
/** A head of that many pages and the longest name fits. */
export const HEAD_BYTES_MAX = 128 * KIB;
/** 256 of the longest version entries fit. */
export const PAGE_BYTES_MAX = 512 * KIB;
/** A tarball's chunk, the unit that is checked before it is sent. */
export const CHUNK_BYTES = 64 * KIB;

/** The signed list of hosts is the longest note. */
export const NOTE_BYTES_MAX = MIB;
/** C2SP signed-note asks verifiers to take at least 16. */
export const NOTE_SIGNATURES_MAX = 100;
export const KEY_NAME_LENGTH_MAX = 255;
/** A request that submits a checkpoint to a witness: sixteen post-quantum signatures of 5 kB fit. */
export const ADD_CHECKPOINT_BYTES_MAX = 128 * KIB;
/** C2SP tlog-witness: no tree whose size is below 2^63 needs more. */
export const CONSISTENCY_HASHES_MAX = 63;
/** Of a policy file; C2SP tlog-policy asks for at least 32 logs, 32 witnesses and 32 groups. */
export const POLICY_LINES_MAX = 1_000;
/** A checkpoint with its cosignatures. */
export const CHECKPOINT_BYTES_MAX = 64 * KIB;
/** A checkpoint as a host shows it to its origin: the log's signatures and one cosignature. */
export const SHOWN_CHECKPOINT_LENGTH_MAX = 4 * KIB;
/** Cosignatures that are served with a checkpoint: readers look at 100 signatures, and need some for the log's own. */
export const COSIGNATURES_SERVED_MAX = 64;
/** Proofs of split views that a mirror keeps: one is enough to convict, and an origin gone wild could make any number. */
export const EVIDENCE_MAX = 100;

/** Request bodies, as received and after decoding. */
export const AUDIT_BODY_BYTES_MAX = 4 * MIB;
/** What a mirror's door passes on to its origin in one request. */
export const FORWARD_BODY_BYTES_MAX = 64 * MIB;
export const CONTROL_BODY_BYTES_MAX = 64 * KIB;

/** The upstream's document of signing keys. */
export const UPSTREAM_KEYS_BYTES_MAX = 64 * KIB;
export const UPSTREAM_KEYS_MAX = 32;
/** Signatures of one version that are looked at. */
export const UPSTREAM_SIGNATURES_MAX = 16;

/** Applications of hosts that wait for an admin, and how long each may. */
export const APPLICATIONS_MAX = 1_000;
/** Of those, how many may come from one client network, so that no one can take all places. */
export const APPLICATIONS_PER_NETWORK_MAX = 20;
export const APPLICATION_AGE_MS_MAX = 24 * 60 * 60 * 1_000;
/** What a host says of its operator and software. */
export const HOST_TEXT_LENGTH_MAX = 200;
/** A host's base URL: scheme, host name, port. */
export const HOST_URL_LENGTH_MAX = 300;
/** An answer of a host or origin to a control request: identities, applications. */
export const CONTROL_ANSWER_BYTES_MAX = 64 * KIB;
/** One event of the change feed. */
export const FEED_EVENT_LENGTH_MAX = 16 * KIB;
/** Change feeds open at once, those of hosts not counted. */
export const ANONYMOUS_FEEDS_MAX = 1_000;
/**
 * Requests on one connection that wait for the answers before theirs. No package manager sends requests ahead; the few
 * programs that do keep to tens.
 */
export const REQUESTS_AHEAD_MAX = 100;
/** Bytes that wait for one reader of the change feed before it is cut off. */
export const FEED_BACKLOG_BYTES_MAX = 256 * KIB;

/** A client's lockfile; the largest in public repositories have about 10 MB. */
export const LOCKFILE_BYTES_MAX = 64 * MIB;
