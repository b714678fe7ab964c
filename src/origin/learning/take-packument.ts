/**
 * From an upstream's packument to what we publish of it: splits it, judges each version against its pin.
 * Reads blobs and writes nothing; what has to be stored is part of the answer.
 */
import { buildTop } from '../../core/assembly.ts';
import { text } from '../../core/bytes.ts';
import { MalformedError, TooLargeError } from '../../core/errors.ts';
import { entryOfRow } from '../../core/fold.ts';
import { sha256Hex } from '../../core/hash.ts';
import type { VersionEntry } from '../../core/head.ts';
import { formatPinned } from '../../core/integrity.ts';
import {
  holdBack,
  type Incident,
  type IncidentKind,
  judgeChange,
  publishableTags,
  type Side,
  type SignatureVerdict,
  type SigningHabit,
  sideHashes,
} from '../../core/learn.ts';
import { HEAD_PAGES_MAX, PAGE_ENTRIES } from '../../core/limits.ts';
import { canonicalFile, readPins, type TakenManifest, takeManifest } from '../../core/manifest.ts';
import { type SplitPackument, splitPackument } from '../../core/packument-split.ts';
import { type MeasuredRow, type VersionRow, versionKey } from '../../core/tables.ts';
import { inTurns, Turn } from '../../io/turn.ts';

const VERSIONS_MAX = HEAD_PAGES_MAX * PAGE_ENTRIES;

/** What a judgement of a package's versions may ask. */
export type TakeDeps = {
  /** A blob that a row names. */
  blob(sha256: string): Promise<Uint8Array>;
  measured(pinned: string): Promise<MeasuredRow | null>;
  /** Checks the registry signatures of a `dist`. `time` is the publish time, null if unknown. */
  verdict(name: string, version: string, dist: unknown, time: string | null): SignatureVerdict;
  habit(): SigningHabit;
};

/** A version that may be published, and the blobs that came with it by SHA-256. */
export type TakenVersion = { entry: VersionEntry; blobs: ReadonlyMap<string, Uint8Array>; url: string | null };

/** What we publish of an upstream's packument. `blobs` by SHA-256 are all that came, known ones too, `urls` tarball URLs by version. */
export type TakenPackument = {
  name: string;
  entries: VersionEntry[];
  tags: Uint8Array;
  top: Uint8Array;
  blobs: Map<string, Uint8Array>;
  urls: Map<string, string>;
  incidents: Incident[];
  /** Listed versions that are to be withdrawn: gone from the upstream, or in dispute. */
  withdrawn: { version: string; reason: string; isGone: boolean }[];
};

/** What is known of a package before the upstream's answer is taken in. */
export type KnownPackage = {
  /** By version. */
  rows: ReadonlyMap<string, VersionRow>;
  /** Listed versions in the head's order. */
  order: readonly string[];
  tags: Readonly<Record<string, string>> | null;
};

/**
 * Takes in the bytes of an upstream's full packument. Gives way to the event loop between versions.
 * @throws MalformedError when the document as a whole can't be read, or says nothing of versions; one bad version spoils
 * only itself.
 */
export async function takePackument(
  name: string,
  bytes: Uint8Array,
  known: KnownPackage,
  deps: TakeDeps,
): Promise<TakenPackument> {
  const turn = new Turn();
  const split = await inTurns(splitPackument(bytes, name), turn);
  refuseSilent(split);
  refuseTooMany(split.versions.length);
  const taken = new Map<string, TakenVersion>();
  const incidents: Incident[] = [];
  const disputed = new Map<string, string>();
  const report = (kind: IncidentKind, version: string, detail: string) => {
    incidents.push({ kind, subject: `${name}@${version}`, detail });
    if (kind === 'pin-disputed') disputed.set(version, detail);
  };
  for (const { version, bytes: raw } of split.versions) {
    if (turn.isSpent()) await turn.give();
    const one = await takeVersion(name, version, raw, split.time?.get(version) ?? null, known, deps, report);
    if (one) taken.set(version, one);
  }
  await turn.give();
  return compose(name, split, taken, known, incidents, disputed, turn);
}

/**
 * Registries leave `versions` out only where they say that the package was unpublished. Anything else without it is part of
 * an answer, or none, and nothing may be withdrawn for it.
 */
function refuseSilent({ hasVersions, unpublished }: SplitPackument): void {
  if (hasVersions || unpublished) return;
  throw new MalformedError('packument', 'it has no versions, and does not say that the package was unpublished');
}

/** No head can list more; found out before each of them is judged. */
function refuseTooMany(versions: number): void {
  if (versions <= VERSIONS_MAX) return;
  throw new MalformedError('packument', `${versions} versions, and a package here may have ${VERSIONS_MAX}`);
}

async function compose(
  name: string,
  split: SplitPackument,
  taken: ReadonlyMap<string, TakenVersion>,
  known: KnownPackage,
  incidents: Incident[],
  disputed: ReadonlyMap<string, string>,
  turn: Turn,
): Promise<TakenPackument> {
  const order = inOrder(known.order, [...taken.keys()]);
  const blobs = new Map<string, Uint8Array>();
  const urls = new Map<string, string>();
  for (const [version, one] of taken) {
    for (const [hex, blob] of one.blobs) blobs.set(hex, blob);
    if (one.url) urls.set(version, one.url);
  }
  await turn.give();
  const withdrawn = [...known.rows]
    .filter(([version, { state }]) => state === 'listed' && !taken.has(version))
    .map(([version]) => {
      const reason = disputed.get(version) ?? 'withdrawn by the upstream';
      return { version, reason, isGone: !disputed.has(version) };
    });
  const tags = publishableTags({ tags: split.distTags, bytes: split.distTagsBytes }, new Set(order), known.tags);
  await turn.give();
  const times = publishTimes(split.time, known.rows, taken);
  await turn.give();
  const top = buildTop(times, split.rest);
  await turn.give();
  const entries = uniqueFiles(
    name,
    order.map((version) => (taken.get(version) as TakenVersion).entry),
  );
  await turn.give();
  return { name, entries, tags, top, blobs, urls, incidents, withdrawn };
}

/** Two versions can't share a tarball URL: the later one gets its canonical file name. */
function uniqueFiles(name: string, entries: readonly VersionEntry[]): VersionEntry[] {
  const files = new Set<string>();
  return entries.map((entry) => {
    const file = files.has(entry.file) ? canonicalFile(name, entry.version) : entry.file;
    files.add(file);
    return file === entry.file ? entry : { ...entry, file };
  });
}

/** Known versions keep their place, new ones follow in the upstream's order. */
function inOrder(known: readonly string[], taken: readonly string[]): string[] {
  const still = new Set(taken);
  const kept = known.filter((version) => still.has(version));
  const seen = new Set(kept);
  return [...kept, ...taken.filter((version) => !seen.has(version))];
}

/** The upstream's times with the pinned ones in place; versions that we don't publish keep no time. */
function publishTimes(
  upstream: ReadonlyMap<string, string> | null,
  rows: ReadonlyMap<string, VersionRow>,
  taken: ReadonlyMap<string, TakenVersion>,
): Map<string, string> | null {
  const times = new Map<string, string>();
  for (const key of ['created', 'modified']) {
    const time = upstream?.get(key);
    if (time !== undefined) times.set(key, time);
  }
  for (const version of taken.keys()) {
    const time = rows.get(version)?.time ?? upstream?.get(version);
    if (time !== undefined) times.set(version, time);
  }
  return times.size > 0 ? times : null;
}

type Report = (kind: IncidentKind, version: string, detail: string) => void;

async function takeVersion(
  name: string,
  version: string,
  raw: Uint8Array,
  time: string | null,
  known: KnownPackage,
  deps: TakeDeps,
  report: Report,
): Promise<TakenVersion | null> {
  const row = known.rows.get(version);
  try {
    const manifest = takeManifest(raw, name, version);
    return row
      ? await takeKnown(name, version, manifest, time, row, deps, report)
      : takeNew(name, version, manifest, time, deps, report);
  } catch (error) {
    if (!(error instanceof MalformedError || error instanceof TooLargeError)) throw error;
    report('malformed-version', version, error.message);
    return row && row.state !== 'withdrawn' ? pinnedVersion(name, version, row, null) : null;
  }
}

/** A version seen for the first time: pinned from now on, or held back. */
export function takeNew(
  name: string,
  version: string,
  taken: TakenManifest,
  time: string | null,
  deps: Pick<TakeDeps, 'verdict' | 'habit'>,
  report: Report,
): TakenVersion | null {
  const verdict = deps.verdict(name, version, taken, time);
  const held = holdBack(taken.pinned, verdict, deps.habit());
  if (!held) return upstreamVersion(version, taken);
  report(held, version, 'held back: not published here until this is settled');
  return null;
}

async function takeKnown(
  name: string,
  version: string,
  taken: TakenManifest,
  time: string | null,
  row: VersionRow,
  deps: TakeDeps,
  report: Report,
): Promise<TakenVersion | null> {
  const timeStands = !row.time || !time || Date.parse(row.time) === Date.parse(time);
  const isSame = sha256Hex(taken.manifest) === row.manifest;
  if (timeStands && isSame) return sameVersion(name, version, row, taken);
  const own = isSame ? taken.manifest : await deps.blob(row.manifest);
  const ours = await sideOf(name, version, own, row.pinned, row.time, deps);
  const theirs = await sideOf(name, version, taken.manifest, taken.pinned && formatPinned(taken.pinned), time, deps);
  const judgement = judgeChange(ours, theirs, await deps.measured(row.pinned));
  switch (judgement.do) {
    case 'follow':
      return upstreamVersion(version, taken);
    case 'keep':
      return pinnedVersion(name, version, row, taken.tarballUrl);
    case 'refuse':
      report('pin-changed', version, `${judgement.detail}; the pinned values stand`);
      return row.state === 'withdrawn' ? null : pinnedVersion(name, version, row, null);
    case 'dispute':
      report(
        'pin-disputed',
        version,
        `${judgement.detail}, and only those are signed; neither is served until an admin decides`,
      );
      return null;
  }
}

/** The pinned version. The upstream's bytes are ours: where the store has lost them, they come back this way. */
function sameVersion(name: string, version: string, row: VersionRow, taken: TakenManifest): TakenVersion {
  const blobs = new Map([
    [row.manifest, taken.manifest],
    [sha256Hex(taken.abbreviated), taken.abbreviated],
  ]);
  return { ...pinnedVersion(name, version, row, taken.tarballUrl), blobs };
}

async function sideOf(
  name: string,
  version: string,
  manifest: Uint8Array,
  pinned: string | null,
  time: string | null,
  deps: TakeDeps,
): Promise<Side> {
  const value: unknown = JSON.parse(text(manifest));
  const hashes = pinned ? sideHashes(value, pinned) : { pinned: null, shasum: null };
  const signed = deps.verdict(name, version, (value as { dist?: unknown }).dist, time).ok;
  return { ...hashes, time, pins: readPins(manifest), value, signed };
}

function upstreamVersion(version: string, taken: TakenManifest): TakenVersion {
  const { manifest, cut, abbreviated, abbreviatedCut, file, pinned } = taken;
  if (!pinned) throw new TypeError(`${version} has no hash to pin`);
  const [full, short] = [sha256Hex(manifest), sha256Hex(abbreviated)];
  const entry: VersionEntry = { version, manifest: full, cut, file, abbreviated: short, abbreviatedCut, pinned };
  const blobs = new Map([
    [full, manifest],
    [short, abbreviated],
  ]);
  return { entry, blobs, url: taken.tarballUrl };
}

/** The pinned version as it stands; the upstream may have moved its tarball. */
function pinnedVersion(name: string, version: string, row: VersionRow, url: string | null): TakenVersion {
  return { entry: entryOfRow(versionKey(name, version), row), blobs: new Map(), url };
}
