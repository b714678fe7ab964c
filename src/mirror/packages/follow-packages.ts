/**
 * The packages of a mirror with a door: which head a name has is what the verified log says, and nobody else.
 *
 * Inside the freshness bound answers come from here alone. Outside it the origin is asked, so that it learns what has
 * changed; then the log is followed, and what that says is served. A head that the origin names and its log does not hold
 * is never served. Where the origin can't be reached, what the log said last is served, marked stale, for as long as that
 * lasts; and where the content of a new head can't be had, the one before it.
 */
import { FederationError, NotFoundError, UpstreamError, WithdrawnError } from '../../core/errors.ts';
import type { VersionEntry } from '../../core/head.ts';
import { change, type FollowedRow, type NameRow } from '../../core/tables.ts';
import { HEAD_HEADER } from '../../door/answers.ts';
import type { Logger } from '../../io/logger.ts';
import type { Metrics } from '../../io/metrics.ts';
import { oneFlight } from '../../io/one-flight.ts';
import { SerialByKey } from '../../io/serial.ts';
import type { DoorStores } from '../../io/stores.ts';
import { refuseWithdrawn } from '../blobs/listing.ts';
import type { LogFollower } from '../log/log-follower.ts';
import type { HeadFetcher } from './fetch-head.ts';
import type { OriginLooks } from './origin-looks.ts';
import type { PackageContent, PackageContents } from './package-contents.ts';

/** A package as this door shows it. */
export type ShownPackage = {
  readonly name: string;
  readonly content: PackageContent;
  readonly stale: boolean;
  /** Which entry of the log names its head. */
  readonly index: number;
};

export type FollowedPackages = {
  /** @throws NotFoundError, WithdrawnError, UpstreamError, UpstreamTimeoutError */
  get(name: string): Promise<ShownPackage>;
  /**
   * A version of a package that is shown; null if it has none.
   * @throws WithdrawnError if the log withdrew it since its head was made, or for good
   */
  version(shown: ShownPackage, version: string): Promise<VersionEntry | null>;
};

export type FollowPackagesDeps = {
  readonly origin: OriginLooks;
  readonly stores: DoorStores;
  readonly heads: HeadFetcher;
  readonly contents: PackageContents;
  readonly follower: Pick<LogFollower, 'catchUp'>;
  readonly freshnessMs: number;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Unix ms. */
  readonly now: () => number;
};

/** How long a client waits until the origin has looked at a package. */
const PATIENCE_MS = 10_000;

export function followPackages(deps: FollowPackagesDeps): FollowedPackages {
  const { origin, stores, heads, contents, freshnessMs, logger, metrics, now } = deps;
  const { metadata } = stores;
  const flights = new Map<string, Promise<void>>();
  const rows = new SerialByKey();

  const nameOf = (name: string) => metadata.get('name', name);

  /** What this machine alone knows of a name. */
  function note(name: string, part: Partial<FollowedRow>): Promise<void> {
    return rows.run(name, async () => {
      const row = (await metadata.get('followed', name)) ?? { head: null, checked: 0 };
      await metadata.write([change('followed', name, { ...row, ...part })]);
    });
  }

  /** Lets the origin look at a name, and follows its log if that has anything new about it. */
  async function ask(name: string): Promise<void> {
    const said = await headAtOrigin(origin, name);
    const before = (await nameOf(name))?.head ?? null;
    if (said !== before) {
      await deps.follower.catchUp();
      const after = (await nameOf(name))?.head ?? null;
      // Another head than before may just be newer than the one that was named.
      if (said !== null && after === before) refuseUnlogged(name, said, after);
    }
    await note(name, { checked: now() });
  }

  function refuseUnlogged(name: string, said: string, logged: string | null): void {
    metrics.counter('mirror_unlogged_heads_total', 'Heads that the origin named and its log does not hold').inc();
    logger.error({ name, said, logged }, 'the origin names a head that its log does not hold; it is not served');
    if (logged !== null) return;
    throw new UpstreamError({ what: `${name} at the origin`, reason: 'it names a head that its log does not hold' });
  }

  /** Whether what the log says of a name may be out of date, because the origin can't be asked now. */
  async function isStale(name: string): Promise<boolean> {
    const followed = await metadata.get('followed', name);
    const age = followed ? now() - followed.checked : Number.POSITIVE_INFINITY;
    if (age >= 0 && age < freshnessMs) return false;
    return origin.orStale(
      name,
      async () => isKnown(await nameOf(name)),
      () => oneFlight(flights, `name ${name}`, () => ask(name)),
    );
  }

  /** Fetches what is not held, and remembers that it now is. */
  async function obtain(name: string, head: string): Promise<void> {
    if (contents.isLoaded(head)) return;
    await oneFlight(flights, `head ${head}`, async () => {
      if (!stores.heads.has(head)) await heads.fetch(name, head);
      if ((await metadata.get('followed', name))?.head !== head) await note(name, { head });
    });
  }

  /** The content of a head, or, where that can't be had, of the last one that was held whole. */
  async function show(name: string, { head, index }: Named, stale: boolean): Promise<ShownPackage> {
    try {
      await obtain(name, head);
      return { name, content: await contents.load(head), stale, index };
    } catch (error) {
      const held = (await metadata.get('followed', name))?.head ?? null;
      if (!(error instanceof FederationError) || held === null || held === head) throw error;
      logger.warn({ name, reason: error.message }, 'a new head could not be had; serving the one before it');
      // Nothing that the log withdrew since may be shown, so all of it counts as newer than this head.
      return { name, content: await contents.load(held), stale: true, index: -1 };
    }
  }

  return {
    async get(name) {
      const stale = await isStale(name);
      const row = await nameOf(name);
      if (row?.withdrawn) throw new WithdrawnError({ subject: name, reason: row.withdrawn.reason });
      if (!row?.head) throw new NotFoundError(`${name} is not in this registry: its origin has no such package`);
      return show(name, { head: row.head, index: row.index }, stale);
    },
    async version({ name, content, index }, version) {
      const entry = content.entries.get(version) ?? null;
      await refuseWithdrawn(metadata, { name, version, index: entry ? index : -1 });
      return entry;
    },
  };
}

type Named = { readonly head: string; readonly index: number };

/** Whether the log says enough of a name to answer for it. */
function isKnown(row: NameRow | null): boolean {
  return row !== null && (row.head !== null || row.withdrawn !== null);
}

/** The head that the origin names now, after it looked; null where it has none to show. */
async function headAtOrigin(origin: OriginLooks, name: string): Promise<string | null> {
  const { status, headers } = await origin.look(name.replace('/', '%2f'), name, PATIENCE_MS);
  const head = headers[HEAD_HEADER] ?? null;
  if ((status === 200) === (head !== null)) return head;
  throw new UpstreamError({ what: `${name} at the origin`, reason: `it answered with status ${status}` });
}
