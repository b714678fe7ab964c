/**
 * What to believe of an upstream: decisions about versions that it shows for the first time, shows again, or no longer
 * shows. Hashes, publish times and everything that decides what gets installed or run are pinned at first sight and
 * stand for ever; the rest follows the upstream.
 */
import { prerelease, rcompare, valid } from 'semver';
import { utf8 } from './bytes.ts';
import { formatPinned, type PinnedHash, parsePinned } from './integrity.ts';
import { type Pins, pinsEqual } from './manifest.ts';
import type { MeasuredRow } from './tables.ts';

/** Something that an operator should know of. `subject` is `name` or `name@version`. */
export type Incident = { readonly kind: IncidentKind; readonly subject: string; readonly detail: string };

export type IncidentKind =
  | 'malformed-version'
  | 'no-hash'
  | 'unsigned'
  | 'unknown-key'
  | 'bad-signature'
  | 'expired-key'
  | 'pin-changed'
  | 'pin-disputed'
  | 'withdrawn'
  | 'mass-disappearance'
  | 'new-upstream-key'
  | 'wrong-bytes';

/** Outcome of checking a version's registry signature. */
export type SignatureVerdict =
  | { ok: true }
  | { ok: false; reason: 'unsigned' | 'unknown-key' | 'bad-signature' | 'expired-key' };

/** What is known of the upstream's habit of signing. */
export type SigningHabit = {
  /** It has published keys. */
  readonly hasKeys: boolean;
  /** At least one of its signatures has been verified. */
  readonly signs: boolean;
};

/**
 * Whether a version that is seen for the first time may be pinned.
 * @returns null if it may, else why it is held back.
 */
export function holdBack(
  pinned: PinnedHash | null,
  verdict: SignatureVerdict,
  habit: SigningHabit,
): IncidentKind | null {
  if (!pinned) return 'no-hash';
  if (verdict.ok) return null;
  switch (verdict.reason) {
    case 'unsigned':
      return habit.signs ? 'unsigned' : null;
    case 'unknown-key':
      return habit.hasKeys ? 'unknown-key' : null;
    default:
      return verdict.reason;
  }
}

/** One side of a comparison: a version as pinned, or as the upstream shows it now. */
export type Side = {
  readonly pinned: PinnedHash | null;
  /** sha1 of the tarball where `dist` names it. */
  readonly shasum: string | null;
  readonly time: string | null;
  readonly pins: Pins;
  /** The manifest as a JSON value, its tarball URL left out. */
  readonly value: unknown;
  readonly signed: boolean;
};

/**
 * What to do with a pinned version that the upstream shows with other bytes than before.
 *
 * - `keep`: nothing outside the pins changed, or a stronger hash waits for its bytes to be measured.
 * - `follow`: only what is not pinned changed; the upstream's manifest replaces ours.
 * - `refuse`: other pinned values; ours stand.
 * - `dispute`: other pinned values, and only the other ones are signed: neither may be served.
 */
export type Judgement =
  | { readonly do: 'keep' | 'follow' }
  | { readonly do: 'refuse' | 'dispute'; readonly detail: string };

/** Judges a change of a version that is already pinned. `measured` is what the pinned tarball's bytes were seen to be. */
export function judgeChange(ours: Side, theirs: Side, measured: MeasuredRow | null): Judgement {
  const changed = changedPins(ours, theirs, measured);
  if (changed.length > 0) {
    const detail = `the upstream now shows another ${changed.join(', ')}`;
    return { do: theirs.signed && !ours.signed ? 'dispute' : 'refuse', detail };
  }
  if (pinsEqual(ours.value as Pins, theirs.value as Pins)) return { do: 'keep' };
  return { do: hashStands(ours, theirs, measured) ? 'follow' : 'keep' };
}

function changedPins(ours: Side, theirs: Side, measured: MeasuredRow | null): string[] {
  const changed: string[] = [];
  if (hashDiffers(ours, theirs, measured)) changed.push('hash');
  if (ours.time && theirs.time && Date.parse(ours.time) !== Date.parse(theirs.time)) changed.push('publish time');
  for (const key of new Set([...Object.keys(ours.pins), ...Object.keys(theirs.pins)])) {
    const [a, b] = [pinOf(ours, key), pinOf(theirs, key)];
    if (!pinsEqual({ [key]: a } as Pins, { [key]: b } as Pins)) changed.push(key);
  }
  return changed;
}

const pinOf = (side: Side, key: string): unknown => (side.pins as Record<string, unknown>)[key];

function hashDiffers(ours: Side, theirs: Side, measured: MeasuredRow | null): boolean {
  if (!theirs.pinned || !ours.pinned) return true;
  if (ours.shasum && theirs.shasum && ours.shasum !== theirs.shasum) return true;
  if (ours.pinned.algorithm === theirs.pinned.algorithm) return ours.pinned.hex !== theirs.pinned.hex;
  if (theirs.pinned.algorithm === 'sha512') return measured !== null && measured.sha512 !== theirs.pinned.hex;
  return ours.shasum !== theirs.shasum;
}

/** A new manifest may replace ours if its hash is as strong, or stronger and confirmed by the bytes themselves. */
function hashStands(ours: Side, theirs: Side, measured: MeasuredRow | null): boolean {
  if (!ours.pinned || !theirs.pinned) return false;
  if (formatPinned(ours.pinned) === formatPinned(theirs.pinned)) return true;
  return theirs.pinned.algorithm === 'sha512' && measured?.sha512 === theirs.pinned.hex;
}

/** The strongest hash and shasum that a manifest's parsed `dist` names, for {@link Side}. */
export function sideHashes(value: unknown, pinned: string): Pick<Side, 'pinned' | 'shasum'> {
  const dist = (value as { dist?: { shasum?: unknown } }).dist;
  const shasum = typeof dist?.shasum === 'string' ? dist.shasum.toLowerCase() : null;
  return { pinned: parsePinned(pinned), shasum };
}

/**
 * The dist-tags to publish: the upstream's own bytes where every tag points at a listed version; otherwise without the
 * tags whose version is held back or withdrawn. `latest` then stays where it was, or falls to the highest listed
 * release, because npm can't install a package without it.
 */
export function publishableTags(
  upstream: { readonly tags: Readonly<Record<string, string>>; readonly bytes: Uint8Array },
  listed: ReadonlySet<string>,
  before: Readonly<Record<string, string>> | null,
): Uint8Array {
  const tags = Object.entries(upstream.tags);
  if (tags.every(([, version]) => listed.has(version))) return upstream.bytes;
  const kept = new Map<string, string>();
  for (const [tag, version] of tags) {
    const known = before && Object.hasOwn(before, tag) ? before[tag] : undefined;
    if (listed.has(version)) kept.set(tag, version);
    else if (known !== undefined && listed.has(known)) kept.set(tag, known);
    else if (tag === 'latest' && listed.size > 0) kept.set(tag, highestRelease(listed));
  }
  return utf8(JSON.stringify(Object.fromEntries(kept)));
}

/** The highest version that is not a pre-release; the highest of all where there is none. */
function highestRelease(listed: ReadonlySet<string>): string {
  const versions = [...listed].filter((version) => valid(version)).sort(rcompare);
  return versions.find((version) => prerelease(version) === null) ?? versions[0] ?? [...listed].at(-1) ?? '';
}
