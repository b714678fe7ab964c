/**
 * Single versions at a mirror's door, for their tarballs. A frozen install asks for nothing else: it needs no manifests,
 * and the origin need not learn whole packages for it.
 *
 * Which bytes a version has, the log says: in an entry about this version alone, or by the package's newest head, of which
 * the pages are enough. Where it says nothing, and once the freshness bound has passed, the origin is asked for the
 * tarball's head, so that it learns the version or notices that it is gone; then the log is followed. What the log said is
 * kept, so that a tarball that is held is served with the origin away. A package that is held whole is not looked at here.
 */
import { FederationError, NotFoundError, UpstreamError, WithdrawnError } from '../../core/errors.ts';
import { formatVersionEntry, parseVersionEntry, type VersionEntry } from '../../core/head.ts';
import { versionFromFile } from '../../core/npm-path.ts';
import { change, type ListedRow, versionKey } from '../../core/tables.ts';
import type { Logger } from '../../io/logger.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { oneFlight } from '../../io/one-flight.ts';
import type { ContentFetcher } from '../blobs/fetch-content.ts';
import { type Listing, refuseWithdrawn } from '../blobs/listing.ts';
import type { LogFollower } from '../log/log-follower.ts';
import { keepingEntries, readEntries, readEntry } from './head-entries.ts';
import type { OriginLooks } from './origin-looks.ts';

/** A version as the log lists it. */
export type ListedVersion = { readonly entry: VersionEntry; readonly listing: Listing; readonly stale: boolean };

export type FollowedVersions = {
  /**
   * The version whose tarball has this name; null where the whole package has to be looked at instead: it is held, or the
   * name does not tell the version.
   * @throws NotFoundError, WithdrawnError, UpstreamError, UpstreamTimeoutError
   */
  ofFile(name: string, file: string): Promise<ListedVersion | null>;
};

export type FollowVersionsDeps = {
  readonly metadata: MetadataStore;
  readonly content: ContentFetcher;
  readonly origin: OriginLooks;
  readonly follower: Pick<LogFollower, 'catchUp'>;
  readonly freshnessMs: number;
  readonly logger: Logger;
  /** Unix ms. */
  readonly now: () => number;
};

/** An entry of the log that lists a version: of it alone, or of the package's head. */
type Place = { readonly index: number } & ({ readonly entry: string } | { readonly head: string });

/** How long a client waits for the origin: of what is listed this waits a second for its own upstream, then says what it knows. */
const PATIENCE_MS = { listed: 3_000, new: 10_000 };
/** Versions of which is remembered when the origin was asked; of others it is asked again. */
const ASKED_MAX = 20_000;
/** Heads whose pages stay in memory. */
const HEADS_MAX = 32;

export function followVersions(deps: FollowVersionsDeps): FollowedVersions {
  const { metadata, content, origin, follower, freshnessMs, logger, now } = deps;
  const flights = new Map<string, Promise<ListedVersion>>();
  const entriesOf = keepingEntries(HEADS_MAX, (name, hash) => readEntries(content, name, hash));
  const asked = new Map<string, number>();

  async function entryAlone(name: string, version: string, hash: string): Promise<VersionEntry> {
    const entry = await readEntry(content, hash);
    if (entry.version === version) return entry;
    throw new UpstreamError({ what: `${name}@${version}`, reason: `the entry ${hash} is about ${entry.version}` });
  }

  /** Where the log lists a version last; null if nowhere. @throws WithdrawnError */
  async function placeOf(name: string, version: string): Promise<Place | null> {
    const row = await metadata.get('name', name);
    if (row?.withdrawn) throw new WithdrawnError({ subject: name, reason: row.withdrawn.reason });
    const ahead = await metadata.get('ahead', versionKey(name, version));
    const place = ahead ?? (row?.head ? { head: row.head, index: row.index } : null);
    await refuseWithdrawn(metadata, { name, version, index: place?.index ?? -1 });
    return place;
  }

  async function entryAt(name: string, version: string, place: Place): Promise<VersionEntry | null> {
    if ('entry' in place) return entryAlone(name, version, place.entry);
    return (await entriesOf(name, place.head)).find((entry) => entry.version === version) ?? null;
  }

  /** What the log says last of a version; null if nothing. Kept, so that it is fetched once. */
  async function inLog(name: string, version: string): Promise<ListedVersion | null> {
    const place = await placeOf(name, version);
    if (place === null) return null;
    const key = versionKey(name, version);
    const listing = { name, version, index: place.index };
    const known = await metadata.get('listed', key);
    if (known?.index === place.index) return { entry: parseVersionEntry(known.entry), listing, stale: false };
    try {
      const entry = await entryAt(name, version, place);
      if (!entry) return null;
      await metadata.write([change('listed', key, { entry: formatVersionEntry(entry), index: place.index })]);
      return { entry, listing, stale: false };
    } catch (error) {
      if (!(error instanceof FederationError) || !known) throw error;
      logger.warn({ name, version, reason: error.message }, 'a new head could not be had; going by the one before it');
      return lastly(name, version, known);
    }
  }

  /** What the log said before. Nothing that it withdrew since may be shown. */
  async function lastly(name: string, version: string, { entry, index }: ListedRow): Promise<ListedVersion> {
    const listing = { name, version, index };
    await refuseWithdrawn(metadata, listing);
    return { entry: parseVersionEntry(entry), listing, stale: true };
  }

  async function ask(name: string, file: string, isListed: boolean): Promise<void> {
    const path = `${name}/-/${file}`;
    const { status } = await origin.look(path, path, isListed ? PATIENCE_MS.listed : PATIENCE_MS.new);
    if (status === 404 && !isListed) throw new NotFoundError(`${name} has no tarball ${JSON.stringify(file)}`);
    if (status !== 200 || !isListed) await follower.catchUp();
  }

  function isFresh(key: string): boolean {
    const age = now() - (asked.get(key) ?? Number.NEGATIVE_INFINITY);
    return age >= 0 && age < freshnessMs;
  }

  function noteAsked(key: string): void {
    asked.delete(key);
    asked.set(key, now());
    if (asked.size > ASKED_MAX) asked.delete(asked.keys().next().value as string);
  }

  async function look(name: string, version: string, file: string): Promise<ListedVersion> {
    const key = versionKey(name, version);
    const listed = await inLog(name, version);
    if (listed && isFresh(key)) return listed;
    const isListed = listed !== null;
    const stale = await origin.orStale(
      name,
      async () => isListed,
      () => ask(name, file, isListed),
    );
    if (stale && listed) return { ...listed, stale };
    noteAsked(key);
    const after = await inLog(name, version);
    if (after) return after;
    throw new UpstreamError({ what: `${name}@${version}`, reason: 'the origin has it, and its log does not hold it' });
  }

  /** Whether its packument was asked for here: then all of it is kept, and kept current. */
  async function isHeldWhole(name: string): Promise<boolean> {
    return ((await metadata.get('followed', name))?.head ?? null) !== null;
  }

  return {
    async ofFile(name, file) {
      const version = versionFromFile(name, file);
      if (version === null || (await isHeldWhole(name))) return null;
      return oneFlight(flights, `${name}/-/${file}`, () => look(name, version, file));
    },
  };
}
