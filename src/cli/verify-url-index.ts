import { chunkListBytes } from '../core/chunks.ts';
import { MalformedError, NotFoundError } from '../core/errors.ts';
import { sha256Hex } from '../core/hash.ts';
import { type Head, parseHead, parseVersionEntry, type VersionEntry } from '../core/head.ts';
import { show } from '../core/index-reader.ts';
import { HEAD_BYTES_MAX, MANIFEST_BYTES_MAX } from '../core/limits.ts';
import type { MemoryTables } from '../core/memory-tables.ts';
import { openPages } from '../core/pages.ts';
import { type AheadRow, versionKey, versionOfKey, versionPrefix } from '../core/tables.ts';
import { checkChunkList, verifyForms, verifyManifest } from '../core/verify-index.ts';
import { type Check, Tally } from '../core/verify-report.ts';
import type { BlobId } from '../io/blob-store.ts';
import type { HttpClient } from '../io/http-client.ts';
import { inParallel } from '../io/in-parallel.ts';
import { createContentFetcher } from '../mirror/blobs/fetch-content.ts';
import { createHeadFetcher } from '../mirror/packages/fetch-head.ts';
import type { RemoteServer } from './remote-server.ts';

/** A version that can be had, with the hash that its tarball is pinned by. */
export type Listed = { readonly name: string; readonly version: string; readonly pinned: VersionEntry['pinned'] };

type Sources = {
  /** The one that is verified, then others that have what it does not hold. */
  readonly servers: readonly RemoteServer[];
  readonly client: HttpClient;
};

/** Packages, and single blobs, that are fetched at the same time. */
const PACKAGES = 4;
const BLOBS = 16;

/**
 * Every head that the log names, everything that it is made of, and what is ahead of it.
 * @param listed is told of each version that can be had
 */
export async function verifyRemotePackages(
  sources: Sources,
  tables: MemoryTables,
  listed: (version: Listed) => void,
): Promise<Check[]> {
  const parts = { packages: new Tally('packages'), versions: new Tally('versions') };
  const absent = new Absent('heads', sources.servers);
  await inParallel(tables.scan('name', ''), PACKAGES, async ({ key: name, row }) => {
    const ahead = tables.scan('ahead', versionPrefix(name));
    await parts.packages.attempt(name, async () => {
      const blobs = new MemoryBlobs();
      const head = row.head === null ? null : await fetchHead(sources, blobs, name, row.head, absent);
      if (head !== null || row.head === null) parts.packages.count('package');
      const entries = head === null ? [] : await checkPackage(head, blobs, parts);
      const counting = new Map(entries.map((entry) => [versionKey(name, entry.version), entry]));
      for (const { key, row: told } of ahead) counting.set(key, await checkAhead(sources, key, told, parts.versions));
      for (const [key, { pinned }] of counting) {
        if (tables.get('withdrawn', key) === null) listed({ name, version: versionOfKey(key), pinned });
      }
    });
  });
  absent.tell(parts.packages);
  return [
    parts.packages.result('pages and both forms as their heads say'),
    parts.versions.result('manifests with the pinned hash, abbreviated by the rule'),
  ];
}

/** Every chunk list of a measured tarball. */
export async function verifyRemoteMeasured({ servers }: Sources, tables: MemoryTables): Promise<Check> {
  const tally = new Tally('measured');
  const absent = new Absent('chunk lists', servers);
  await inParallel(tables.scan('measured', ''), BLOBS, async ({ key, row }) => {
    await tally.attempt(key, async () => {
      const list = await blobOf(servers, row.list, chunkListBytes(row.size));
      if (list === null) return absent.count(`the chunk list sha256:${row.list}`);
      checkChunkList(row, list);
      tally.count('chunk list');
    });
  });
  absent.tell(tally);
  return tally.result('with the roots that were measured');
}

/** Null where no source holds it and none has to. */
async function fetchHead(
  { servers, client }: Sources,
  blobs: MemoryBlobs,
  name: string,
  hash: string,
  absent: Absent,
): Promise<Head | null> {
  for (const server of servers) {
    const bytes = await server.content(`head/${hash}`, hash, HEAD_BYTES_MAX);
    if (bytes === null) continue;
    parseHead(bytes);
    await blobs.keep([bytes]);
    const content = createContentFetcher({ stored: [blobs], client, sources: [server.url] });
    return createHeadFetcher({ blobs, put: (_, fresh) => blobs.keep(fresh), content }).fetch(name, hash);
  }
  absent.count(`the head ${hash}`);
  return null;
}

async function checkPackage(
  head: Head,
  blobs: MemoryBlobs,
  { packages, versions }: { packages: Tally; versions: Tally },
): Promise<VersionEntry[]> {
  await verifyForms(head, blobs);
  packages.count('head');
  const entries = openPages(head, await Promise.all(head.pages.map((page) => blobs.blob(page))));
  for (const entry of entries) {
    const key = versionKey(head.name, entry.version);
    versions.count('version');
    await versions.attempt(show(key), () => verifyManifest(key, entry, blobs));
  }
  return entries;
}

/** A version that the log tells ahead of the package's next head. */
async function checkAhead(
  { servers }: Sources,
  key: string,
  { entry: hash }: AheadRow,
  tally: Tally,
): Promise<VersionEntry> {
  const blob = (sha256: string) => neededBlob(servers, sha256, MANIFEST_BYTES_MAX);
  const entry = parseVersionEntry(await blob(hash));
  if (entry.version !== versionOfKey(key)) {
    throw new MalformedError('version entry', `it is that of ${entry.version}, the log says ${show(key)}`);
  }
  tally.count('version');
  await tally.attempt(show(key), () => verifyManifest(key, entry, { blob }));
  return entry;
}

async function neededBlob(servers: readonly RemoteServer[], sha256: string, maxBytes: number): Promise<Uint8Array> {
  const bytes = await blobOf(servers, sha256, maxBytes);
  if (bytes === null) throw new NotFoundError(`the blob sha256:${sha256} is not there`);
  return bytes;
}

/** From the first server that holds it. */
async function blobOf(servers: readonly RemoteServer[], sha256: string, maxBytes: number): Promise<Uint8Array | null> {
  for (const server of servers) {
    const bytes = await server.content(`blob/sha256/${sha256}`, sha256, maxBytes);
    if (bytes !== null) return bytes;
  }
  return null;
}

/** What no server held: a fault where one of them is an origin, else only something that could not be checked. */
class Absent {
  readonly #what: string;
  readonly #mustHold: boolean;
  #count = 0;

  constructor(what: string, servers: readonly RemoteServer[]) {
    this.#what = what;
    this.#mustHold = servers.some(({ role }) => role === 'origin');
  }

  count(subject: string): void {
    if (this.#mustHold)
      throw new NotFoundError(`${subject} is not there, though an origin holds all that its log names`);
    this.#count += 1;
  }

  tell(tally: Tally): void {
    if (this.#count === 0) return;
    tally.note(
      `not checked, as it is not held there: ${this.#count.toLocaleString('en')} ${this.#what}; give --origin URL to take them from there`,
    );
  }
}

/** One package's blobs, while it is looked at. */
class MemoryBlobs {
  readonly #blobs = new Map<string, Uint8Array>();

  async has({ hex }: BlobId): Promise<boolean> {
    return this.#blobs.has(hex);
  }

  async read({ hex }: BlobId): Promise<Uint8Array | null> {
    return this.#blobs.get(hex) ?? null;
  }

  async keep(blobs: readonly Uint8Array[]): Promise<void> {
    for (const bytes of blobs) this.#blobs.set(sha256Hex(bytes), bytes);
  }

  async blob(sha256: string): Promise<Uint8Array> {
    const bytes = this.#blobs.get(sha256);
    if (bytes === undefined) throw new NotFoundError(`the blob sha256:${sha256} is not there`);
    return bytes;
  }
}
