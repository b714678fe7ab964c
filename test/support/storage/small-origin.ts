/** A small but complete origin in a data directory: two packages, a version learned alone, measured tarballs, keys. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { toHex, utf8 } from '../../../src/core/bytes.ts';
import { ChunkHasher, chunkRoot } from '../../../src/core/chunks.ts';
import { sha256Hex } from '../../../src/core/hash.ts';
import { formatVersionEntry, parseHead, parsePage, type VersionEntry } from '../../../src/core/head.ts';
import { takeManifest } from '../../../src/core/manifest.ts';
import { leafHash } from '../../../src/core/merkle.ts';
import type { BlobStore } from '../../../src/io/blob-store.ts';
import { openDataDir } from '../../../src/io/data-dir.ts';
import { writeDurably } from '../../../src/io/durable-file.ts';
import { openHostKeys, openOriginKeys } from '../../../src/io/key-file.ts';
import { type OriginStores, openMirrorStores, openOriginStores } from '../../../src/io/stores.ts';
import { openHeldLog } from '../../../src/mirror/log/held-log.ts';
import { composeHead } from '../../../src/origin/learning/compose-head.ts';
import { type Log, openLog, type Published } from '../../../src/origin/log/log.ts';
import { blobOf, bytesOf, stream } from '../../io/blob-store-contract.ts';

/** The tarball of `small@1.0.0`: large enough to have chunk hashes beside it. */
export const TARBALL = bytesOf(1_100_000, 7);
const PUT = { maxBytes: 2_000_000, keyAlgorithm: 'sha512' } as const;

/** When all of it happens, unix ms. */
const TIME = 1_700_000_000_000;

type Taken = { readonly entry: VersionEntry; readonly blobs: readonly Uint8Array[] };

/** Makes the data directory, closed again. */
export async function makeSmallOrigin(dir: string): Promise<void> {
  const data = await openDataDir(dir, 'origin');
  const keys = await openOriginKeys(dir);
  const stores = await openOriginStores(dir);
  const log = await openLog({ ...stores, logKey: keys.log, now: () => TIME, checkpointIntervalMs: 0 });
  await learn(stores, log, 'small', 1, [take('small', '1.0.0', TARBALL)]);
  await learn(stores, log, 'small', 2, [take('small', '1.0.0', TARBALL), take('small', '1.1.0')]);
  await learn(stores, log, '@scope/other', 1, [take('@scope/other', '0.1.0')]);
  await learnVersion(stores, log, 'lone', take('lone', '3.0.0'));
  await measure(stores, log, TARBALL);
  await log.append([{ kind: 'withdraw', name: 'small', version: '1.1.0', deadline: 0, reason: 'malware' }]);
  await log.idle();
  await stores.close();
  await data.close();
}

/** Makes a mirror's data directory that holds the same tarball. */
export async function makeSmallMirror(dir: string): Promise<void> {
  const data = await openDataDir(dir, 'mirror');
  await openHostKeys(dir);
  const stores = await openMirrorStores(dir);
  await stores.blobs.putStream(blobOf(TARBALL, 'sha512'), stream(TARBALL), PUT);
  await stores.close();
  await data.close();
}

/** Makes the data directory of a mirror that holds the log of a {@link makeSmallOrigin}, and one of its heads. */
export async function makeFollower(dir: string, originDir: string): Promise<void> {
  await makeSmallMirror(dir);
  const { note, log: logKey } = await openOriginKeys(originDir);
  await writeDurably(join(dir, 'origin-keys.note'), note);
  const origin = await openOriginStores(originDir);
  const mirror = await openMirrorStores(dir, true);
  if (mirror.door === null) throw new Error('the mirror keeps no index');
  const { checkpoint, note: signed } = publishedOf(await openLog({ ...origin, logKey, now: () => TIME }));
  const log = await openHeldLog(mirror.door.metadata);
  const entries = await origin.metadata.entries(0, checkpoint.size);
  await log.aim({ checkpoint, note: signed });
  await log.take(entries, entries.map(leafHash), TIME);
  await log.serve({ checkpoint, note: signed });
  await copyHead(origin, mirror.door.blobs, '@scope/other');
  await mirror.close();
  await origin.close();
}

function publishedOf(log: Log): Published {
  const published = log.checkpoint();
  if (published === null) throw new Error('the log has published nothing');
  return published;
}

async function copyHead(origin: OriginStores, to: BlobStore, name: string): Promise<void> {
  const head = (await origin.metadata.get('package', name))?.head as string;
  const read = async (hex: string) => (await origin.blobs.read({ algorithm: 'sha256', hex })) as Uint8Array;
  const { tags, top, pages } = parseHead(await read(head));
  const blobs = await Promise.all([tags, top, ...pages, head].map(read));
  const versions = (await Promise.all(pages.map(read))).flatMap((page) => parsePage(page));
  for (const { manifest, abbreviated } of versions) blobs.push(await read(manifest), await read(abbreviated));
  await to.putMany(blobs.map((bytes) => ({ id: blobOf(bytes), bytes })));
}

function take(name: string, version: string, tarball = utf8(`${name} ${version}`)): Taken {
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
  const dist = { tarball: `https://registry.example/${name}/-/${version}.tgz`, integrity };
  const raw = utf8(JSON.stringify({ name, version, dist, scripts: { install: 'node-gyp' }, readme: 'text' }));
  const { manifest, cut, file, abbreviated, abbreviatedCut, pinned } = takeManifest(raw, name, version);
  if (pinned === null) throw new Error('the manifest has no hash');
  const hashes = { manifest: sha256Hex(manifest), abbreviated: sha256Hex(abbreviated) };
  return { entry: { version, ...hashes, cut, file, abbreviatedCut, pinned }, blobs: [manifest, abbreviated] };
}

async function learn(stores: OriginStores, log: Log, name: string, seq: number, taken: Taken[]): Promise<void> {
  const blobs = new Map(taken.flatMap((one) => one.blobs).map((bytes) => [sha256Hex(bytes), bytes]));
  const times = taken.map(({ entry }) => `"${entry.version}":"2020-01-01T00:00:00.000Z"`);
  const made = await composeHead(
    {
      name,
      entries: taken.map(({ entry }) => entry),
      tags: utf8(`{"latest":"${taken.at(-1)?.entry.version}"}`),
      top: utf8(`"time":{${times.join(',')}},"license":"MIT"`),
      blobs,
    },
    seq,
    () => Promise.reject(new Error('all blobs are new')),
  );
  await stores.blobs.putMany([...made.blobs.values()].map((bytes) => ({ id: blobOf(bytes), bytes })));
  await log.append([{ kind: 'learned', name, head: made.hash }]);
}

async function learnVersion(stores: OriginStores, log: Log, name: string, { entry, blobs }: Taken): Promise<void> {
  const line = utf8(formatVersionEntry(entry));
  await stores.blobs.putMany([line, ...blobs].map((bytes) => ({ id: blobOf(bytes), bytes })));
  await log.append([{ kind: 'learned-version', name, version: entry.version, entry: sha256Hex(line) }]);
}

async function measure(stores: OriginStores, log: Log, bytes: Uint8Array): Promise<void> {
  const list = new ChunkHasher().update(bytes).digest();
  const { hex } = blobOf(bytes, 'sha512');
  await stores.tarballs.putStream({ algorithm: 'sha512', hex }, stream(bytes), PUT);
  await stores.blobs.putMany([{ id: blobOf(list), bytes: list }]);
  const measured = { sha512: hex, size: bytes.length, chunks: toHex(chunkRoot(list)), list: sha256Hex(list) };
  await log.append([{ kind: 'measured', pinned: { algorithm: 'sha512', hex }, ...measured }]);
}
