/**
 * The packages of a mirror with a door: of the origin's word it takes the hash of each package's head, and nothing else.
 *
 * Inside the freshness bound answers come from here alone. Outside it the origin is asked; where it can't be reached what
 * is known is served, marked stale, for as long as that lasts. Order: a head's content first, its name last (the commit
 * point), so a package is never shown that can't be answered for.
 */
import { text } from '../core/bytes.ts';
import { FederationError, NotFoundError, UpstreamError, WithdrawnError } from '../core/errors.ts';
import { type Head, parseHead, type VersionEntry } from '../core/head.ts';
import { canonicalFile } from '../core/manifest.ts';
import { readPages } from '../core/pages.ts';
import { change, type FollowedRow } from '../core/tables.ts';
import { HEAD_HEADER } from '../door/answers.ts';
import type { HttpClient } from '../io/http-client.ts';
import type { Logger } from '../io/logger.ts';
import { storedBlob } from '../io/stored-blob.ts';
import type { DoorStores } from '../io/stores.ts';
import { inTurns } from '../io/turn.ts';
import type { HeadFetcher } from './fetch-head.ts';

/** A package as this door shows it. */
export type FollowedPackage = {
  readonly head: Head;
  readonly hash: string;
  readonly tags: Readonly<Record<string, string>>;
  /** By version. */
  readonly entries: ReadonlyMap<string, VersionEntry>;
  /** Version by tarball file name, as given out and in its canonical spelling. */
  readonly files: ReadonlyMap<string, string>;
};

export type FollowedPackages = {
  /** @throws NotFoundError, WithdrawnError, UpstreamError, UpstreamTimeoutError */
  get(name: string): Promise<{ shown: FollowedPackage; stale: boolean }>;
};

const PACKAGES_MAX = 2_000;
/** How long a client waits for the origin where something is known already. */
const PATIENCE_MS = 10_000;
/** After a failure the origin is left alone for so long, for all packages that are known. */
const AWAY_MS = 10_000;
const ERROR_BYTES_MAX = 64 * 1024;

export function followPackages(deps: {
  origin: string;
  client: HttpClient;
  stores: DoorStores;
  heads: HeadFetcher;
  freshnessMs: number;
  logger: Logger;
  /** Unix ms. */
  now: () => number;
}): FollowedPackages {
  const { origin, client, stores, heads, freshnessMs, logger, now } = deps;
  const { metadata, blobs } = stores;
  const packages = new Map<string, FollowedPackage>();
  const flights = new Map<string, Promise<void>>();
  let awayUntil = 0;

  /** What the origin says of a name now. */
  async function ask(name: string): Promise<Omit<FollowedRow, 'checked'>> {
    const url = `${origin}/${name.replace('/', '%2f')}`;
    const options = {
      maxBytes: ERROR_BYTES_MAX,
      totalTimeoutMs: PATIENCE_MS,
      headers: { 'accept-encoding': 'identity' },
    };
    const what = `${name} at the origin`;
    const { status, headers } = await client.request(url, { ...options, method: 'HEAD', what });
    const head = headers[HEAD_HEADER];
    if (status === 200 && head !== undefined) return { head, withdrawn: null };
    if (status === 404) return { head: null, withdrawn: null };
    if (status === 451) return { head: null, withdrawn: await reasonAt(url, options) };
    throw new UpstreamError({ what, reason: `it answered with status ${status}` });
  }

  async function reasonAt(url: string, options: { maxBytes: number; totalTimeoutMs: number }): Promise<string> {
    const { body } = await client.request(url, options);
    const { error } = JSON.parse(text(body)) as { error?: unknown };
    return typeof error === 'string' ? error : 'withdrawn by the origin';
  }

  async function follow(name: string): Promise<void> {
    const said = await ask(name);
    if (said.head !== null) await heads.fetch(name, said.head);
    await metadata.write([change('followed', name, { ...said, checked: now() })]);
  }

  function fly(name: string): Promise<void> {
    const flight = flights.get(name) ?? follow(name).finally(() => flights.delete(name));
    flights.set(name, flight);
    return flight;
  }

  /** The row inside its bound, or as it was where the origin can't be asked. */
  async function current(name: string): Promise<{ row: FollowedRow; stale: boolean }> {
    const row = await metadata.get('followed', name);
    const age = row ? now() - row.checked : Number.POSITIVE_INFINITY;
    if (row && age >= 0 && age < freshnessMs) return { row, stale: false };
    if (row?.head && now() < awayUntil) return { row, stale: true };
    try {
      await fly(name);
      return { row: (await metadata.get('followed', name)) as FollowedRow, stale: false };
    } catch (error) {
      if (!row?.head || !(error instanceof FederationError)) throw error;
      awayUntil = now() + AWAY_MS;
      logger.warn({ name, reason: error.message }, 'the origin could not be asked; serving what is known');
      return { row, stale: true };
    }
  }

  async function load(hash: string): Promise<FollowedPackage> {
    const known = packages.get(hash);
    if (known) return known;
    const read = (hex: string) => storedBlob(blobs, hex, `head ${hash}`);
    const head = parseHead(await read(hash));
    const entries = await inTurns(readPages(head, await Promise.all(head.pages.map(read))));
    const tags = JSON.parse(text(await read(head.tags))) as Record<string, string>;
    const byVersion = new Map(entries.map((entry) => [entry.version, entry]));
    const shown = { head, hash, tags, entries: byVersion, files: filesOf(head.name, entries) };
    packages.set(hash, shown);
    if (packages.size > PACKAGES_MAX) packages.delete(packages.keys().next().value as string);
    return shown;
  }

  return {
    async get(name) {
      const { row, stale } = await current(name);
      if (row.withdrawn !== null) throw new WithdrawnError({ subject: name, reason: row.withdrawn });
      if (row.head === null) throw new NotFoundError(`${name} is not in this registry: its origin has no such package`);
      return { shown: await load(row.head), stale };
    },
  };
}

/** A file name that is given out goes before a canonical spelling that happens to be the same. */
function filesOf(name: string, entries: readonly VersionEntry[]): Map<string, string> {
  const canonical = entries.map(({ version }) => [canonicalFile(name, version), version] as const);
  return new Map([...canonical, ...entries.map(({ file, version }) => [file, version] as const)]);
}
