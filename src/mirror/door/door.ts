/**
 * An organisation's own door at a mirror: the npm API for its users, out of what the mirror holds and has verified itself.
 * Everything else that clients ask of a registry is passed on to the origin; federation paths stay the mirror's own.
 */

import { tarballUrlAt } from '../../core/assembly.ts';
import { chooseDoor, type Door } from '../../core/door.ts';
import { FederationError, MalformedError, NotFoundError, UpstreamError } from '../../core/errors.ts';
import { CACHE } from '../../core/http-semantics.ts';
import { formatPinned, type PinnedHash } from '../../core/integrity.ts';
import { TARBALL_BYTES_MAX } from '../../core/limits.ts';
import { parseNpmRequest, versionFromFile } from '../../core/npm-path.ts';
import { change } from '../../core/tables.ts';
import { distTagsAnswer, manifestAnswer, packumentAnswer, staleHeaders } from '../../door/answers.ts';
import type { Forms } from '../../door/forms.ts';
import type { BlobStore } from '../../io/blob-store.ts';
import type { HttpClient } from '../../io/http-client.ts';
import type { Answer, Handler, Incoming } from '../../io/http-server.ts';
import { storedBlob } from '../../io/stored-blob.ts';
import type { DoorStores } from '../../io/stores.ts';
import type { Listing } from '../blobs/listing.ts';
import type { BlobServer } from '../blobs/serve-blob.ts';
import type { Tombstones } from '../blobs/tombstones.ts';
import type { FollowedPackages } from '../packages/follow-packages.ts';
import type { FollowedVersions, ListedVersion } from '../packages/follow-versions.ts';
import type { KeptPackages } from '../packages/kept-packages.ts';

export type MirrorDoorDeps = {
  readonly doors: () => { readonly doors: readonly Door[]; readonly port: number };
  readonly packages: FollowedPackages;
  readonly versions: FollowedVersions;
  readonly kept: Pick<KeptPackages, 'during'>;
  readonly forms: Forms;
  readonly stores: DoorStores;
  /** Tarballs by sha512. */
  readonly tarballs: BlobStore;
  readonly tombstones: Pick<Tombstones, 'lift' | 'stored'>;
  readonly blobs: BlobServer;
  readonly origin: string;
  /** Base URL of the registry that tarballs are fetched from where nobody else gives them; null for none. */
  readonly upstream: string | null;
  readonly client: HttpClient;
  readonly forward: (incoming: Incoming) => Promise<Answer>;
  readonly home: (incoming: Incoming, door: Door) => Promise<Answer>;
  /** Answers federation paths, health and metrics. */
  readonly mirror: Handler;
};

export function createMirrorDoor(deps: MirrorDoorDeps): Handler {
  return async (incoming) => {
    const asked = parseNpmRequest(incoming.method, incoming.url);
    incoming.kind = asked.kind;
    const { doors, port } = deps.doors();
    const door = chooseDoor(incoming.hostHeader, doors, port);
    switch (asked.kind) {
      case 'packument':
        return ofPackage(deps, asked.name, () => packument(deps, incoming, asked.name, door));
      case 'manifest':
        return ofPackage(deps, asked.name, () => manifest(deps, incoming, asked.name, asked.spec, door));
      case 'dist-tags':
        return ofPackage(deps, asked.name, () => distTags(deps, incoming, asked.name, asked.tag));
      case 'tarball':
        return ofPackage(deps, asked.name, () => tarball(deps, incoming, asked.name, asked.file));
      case 'root':
        return deps.home(incoming, door);
      case 'federation':
      case 'ping':
      case 'healthz':
      case 'metrics':
        return deps.mirror(incoming);
      default:
        return deps.forward(incoming);
    }
  };
}

/** The client was understood by now: what can't be read is content that the origin's log names by its hash. */
async function ofPackage({ kept }: MirrorDoorDeps, name: string, answer: () => Promise<Answer>): Promise<Answer> {
  try {
    return await kept.during(name, answer);
  } catch (cause) {
    if (!(cause instanceof MalformedError)) throw cause;
    throw new UpstreamError({ what: `${name} at the origin`, reason: cause.message }, { cause });
  }
}

async function packument(deps: MirrorDoorDeps, incoming: Incoming, name: string, door: Door): Promise<Answer> {
  const { content, stale } = await deps.packages.get(name);
  return packumentAnswer(incoming, { head: content.head, hash: content.hash, stale }, door.url, deps.forms);
}

async function manifest(
  deps: MirrorDoorDeps,
  incoming: Incoming,
  name: string,
  spec: string,
  door: Door,
): Promise<Answer> {
  const shown = await deps.packages.get(name);
  const { tags } = shown.content;
  const version = Object.hasOwn(tags, spec) ? (tags[spec] as string) : spec;
  const entry = await deps.packages.version(shown, version);
  if (!entry) throw new NotFoundError(`${name} has no version or dist-tag ${JSON.stringify(spec)}`);
  const blob = await storedBlob(deps.stores.blobs, entry.manifest, `${name}@${version}`);
  return manifestAnswer(incoming, { ...entry, name, blob, stale: shown.stale }, door.url);
}

async function distTags(deps: MirrorDoorDeps, incoming: Incoming, name: string, tag: string | null): Promise<Answer> {
  const { content, stale } = await deps.packages.get(name);
  return distTagsAnswer(incoming, { name, tags: content.tags, hash: content.head.tags, stale }, tag);
}

async function tarball(deps: MirrorDoorDeps, incoming: Incoming, name: string, file: string): Promise<Answer> {
  const listed = await deps.versions.ofFile(name, file);
  const { entry, listing, stale } = listed ?? (await inPackage(deps, name, file));
  const hex = await sha512Of(deps, entry.pinned, entry.file, listing);
  const lastly = deps.upstream ? [tarballUrlAt(deps.upstream, name, entry.file)] : [];
  const right = { by: 'door' as const, listing, lastly };
  const answer = await deps.blobs.serve(incoming, { algorithm: 'sha512', hex }, () => right);
  if (answer.status >= 400) return answer;
  // By name, and names can be withdrawn; only hashes are for ever.
  const unfinished = answer.headers['cache-control'] === CACHE.byHashUnfinished;
  const cacheControl = unfinished ? CACHE.byNameUnfinished : CACHE.byName;
  return { ...answer, headers: { ...answer.headers, 'cache-control': cacheControl, ...staleHeaders(stale) } };
}

async function inPackage({ packages }: MirrorDoorDeps, name: string, file: string): Promise<ListedVersion> {
  const shown = await packages.get(name);
  const version = shown.content.files.get(file) ?? versionFromFile(name, file) ?? '';
  const entry = await packages.version(shown, version);
  if (!entry) throw new NotFoundError(`${name} has no tarball ${JSON.stringify(file)}`);
  return { entry, listing: { name, version, index: shown.index }, stale: shown.stale };
}

/** The sha512 of a pinned tarball; bytes for a weaker pin come by name, and are checked against the pin. */
async function sha512Of(deps: MirrorDoorDeps, pinned: PinnedHash, file: string, listing: Listing): Promise<string> {
  if (pinned.algorithm === 'sha512') return pinned.hex;
  const key = formatPinned(pinned);
  const known = await deps.stores.metadata.get('satisfied', key);
  if (known && (await deps.tarballs.has({ algorithm: 'sha512', hex: known.sha512 }))) return known.sha512;
  const sha512 = await fetchByName(deps, deps.origin, pinned, file, listing).catch((error: unknown) => {
    if (!deps.upstream || !(error instanceof FederationError)) throw error;
    return fetchByName(deps, deps.upstream, pinned, file, listing);
  });
  await deps.stores.metadata.write([change('satisfied', key, { sha512 })]);
  await deps.tombstones.lift(sha512, listing);
  await deps.tombstones.stored(sha512, null);
  return sha512;
}

async function fetchByName(
  { client, tarballs }: MirrorDoorDeps,
  base: string,
  pinned: PinnedHash,
  file: string,
  { name }: Listing,
): Promise<string> {
  const { status, body } = await client.open(tarballUrlAt(base, name, file), { maxBytes: TARBALL_BYTES_MAX });
  if (status !== 200) {
    body.destroy();
    throw new UpstreamError({ what: `${name}/-/${file} at ${base}`, reason: `it answered with status ${status}` });
  }
  const limits = { maxBytes: TARBALL_BYTES_MAX, keyAlgorithm: 'sha512' as const };
  return (await tarballs.putStream(pinned, body, limits)).sha512;
}
