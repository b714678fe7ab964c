/**
 * What each role keeps in its data directory, and where.
 *
 *     origin  metadata.sqlite   journal and tables
 *             blobs.sqlite      own content: heads, pages, manifests, tags, tops, chunk lists. Lost means lost.
 *             cache/tarballs/   tarballs by sha512: can be fetched again
 *             cache/forms/      compressed packuments: can be made again
 *     mirror  blobs/            tarballs and other blobs that it serves: can be fetched again
 *             index.sqlite      log and tables: likewise, and verified; with the checkpoints that it once believed
 *             evidence/         what proves that its origin lied: lost means lost
 *             index-blobs.sqlite, cache/forms/
 *                               with a door or replication: what packages are made of; can be fetched again
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { BlobStore, CacheBlobStore } from './blob-store.ts';
import { makeFolder } from './durable-file.ts';
import { type FileBlobStoreOptions, openFileBlobStore } from './file-blob-store.ts';
import type { MetadataStore } from './metadata-store.ts';
import type { SharedBudget } from './shared-budget.ts';
import { openSqliteBlobStore } from './sqlite-blob-store.ts';
import { openSqliteMetadataStore } from './sqlite-metadata-store.ts';
import { type HeadRecords, openSqlitePackageStore } from './sqlite-package-store.ts';
import type { OnBroken } from './sqlite-writer.ts';

/** Stores that were opened together. */
type Opened = {
  /** Why one of them can't be written any more, which only a restart mends; null while all is well. */
  failure(): Error | null;
  close(): Promise<void>;
};

export type OriginStores = Opened & {
  readonly metadata: MetadataStore;
  readonly blobs: BlobStore;
  readonly tarballs: CacheBlobStore;
};

/** `door`: what it keeps of packages; null for a mirror that gives out blobs only. */
export type MirrorStores = Opened & {
  readonly blobs: CacheBlobStore;
  /** The log and its tables. */
  readonly index: MetadataStore;
  readonly door: DoorStores | null;
};

/** How what can be fetched again is kept, and who is told of a database that broke. */
export type StoreOptions = Pick<FileBlobStoreOptions, 'note' | 'now'> & {
  /** Disk for all that can be fetched again; null or left out: no bound. */
  readonly budget?: SharedBudget | null;
  readonly onBroken?: OnBroken;
};

/** What a mirror keeps of packages. `metadata` is its index; `heads` says what each package is made of. */
export type DoorStores = {
  readonly metadata: MetadataStore;
  readonly blobs: BlobStore;
  readonly heads: HeadRecords;
};

/** An origin's memory is for packages: most of its clients get their tarballs from mirrors. */
const ORIGIN_HOT_BYTES = 12 * 1024 * 1024;
const PACKAGE_BLOBS = 'index-blobs.sqlite';

/** Folder of the compressed forms of an origin, or of a mirror with a door. */
export const formsFolder = (dir: string): string => join(dir, 'cache', 'forms');

/** Opens or makes an origin's stores: all, or, if any can't be opened, none. The caller owns the folder. */
export function openOriginStores(dir: string, options: StoreOptions = {}): Promise<OriginStores> {
  return openTogether(options.onBroken, async (keep, onBroken) => {
    await makeFolder(join(dir, 'cache', 'tarballs'));
    const metadata = keep(await openSqliteMetadataStore(join(dir, 'metadata.sqlite'), onBroken));
    const blobs = keep(await openSqliteBlobStore(join(dir, 'blobs.sqlite'), { onBroken }));
    const tarballs = keep(
      await openTarballs(join(dir, 'cache', 'tarballs'), { ...options, hotBytesMax: ORIGIN_HOT_BYTES }),
    );
    return { metadata, blobs, tarballs };
  });
}

type Closable = { close(): Promise<void> };

async function openTogether<T extends object>(
  told: OnBroken | undefined,
  open: (keep: <S extends Closable>(store: S) => S, onBroken: OnBroken) => Promise<T>,
): Promise<T & Opened> {
  const opened: Closable[] = [];
  let failure: Error | null = null;
  const onBroken: OnBroken = (error) => {
    failure ??= error;
    told?.(error);
  };
  const close = async (): Promise<void> => {
    await Promise.all(opened.map((store) => store.close()));
  };
  try {
    const keep = <S extends Closable>(store: S): S => {
      opened.push(store);
      return store;
    };
    return { ...(await open(keep, onBroken)), failure: () => failure, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Opens or makes a mirror's stores: all, or none. The caller owns the folder (io/data-dir.ts).
 * @param keepsPackages false still opens what a mirror that once kept packages has
 */
export function openMirrorStores(
  dir: string,
  keepsPackages = false,
  options: StoreOptions = {},
): Promise<MirrorStores> {
  return openTogether(options.onBroken, async (keep, onBroken) => {
    const blobs = keep(await openTarballs(join(dir, 'blobs'), options));
    const index = keep(await openSqliteMetadataStore(join(dir, 'index.sqlite'), onBroken));
    if (!keepsPackages && !existsSync(join(dir, PACKAGE_BLOBS))) return { blobs, index, door: null };
    await makeFolder(formsFolder(dir));
    const packages = keep(await openSqlitePackageStore(join(dir, PACKAGE_BLOBS), onBroken));
    options.budget?.addTaker(() => packages.heads.space().file);
    return { blobs, index, door: { metadata: index, blobs: packages.blobs, heads: packages.heads } };
  });
}

/** What tarballs may take is what others leave of the budget. */
async function openTarballs(
  dir: string,
  { budget, note, now, hotBytesMax }: StoreOptions & Pick<FileBlobStoreOptions, 'hotBytesMax'>,
): Promise<CacheBlobStore> {
  const store = await openFileBlobStore(dir, {
    bytesMax: budget ? () => budget.left() : null,
    ...(note ? { note } : {}),
    ...(now ? { now } : {}),
    ...(hotBytesMax ? { hotBytesMax } : {}),
  });
  budget?.addYielder(() => store.trim());
  return store;
}
