/** `verify` over open stores, be they those of a running server or of a stopped data directory. */

import type { IndexReader } from '../core/index-reader.ts';
import type { TreeHead } from '../core/merkle.ts';
import { verifyBlobs } from '../core/verify-blobs.ts';
import { type HeadsReader, verifyHeads } from '../core/verify-heads.ts';
import { verifyIndex, verifyJournal } from '../core/verify-index.ts';
import { type LogReader, verifyLog } from '../core/verify-log.ts';
import type { Check, VerifyReport } from '../core/verify-report.ts';
import { FOLDS, verifyTables } from '../core/verify-tables.ts';
import { verifyTombstones } from '../core/verify-tombstones.ts';
import type { BlobStore } from './blob-store.ts';
import type { MetadataStore } from './metadata-store.ts';
import type { MirrorStores, OriginStores } from './stores.ts';

/** What is published of a log, its signature checked; null if nothing is known to be. */
export type PublishedHead = () => Promise<TreeHead | null>;

/**
 * Checks everything. Reading finds rot, and what has rotted is moved to quarantine, as by any other reader.
 * @param published a rejection is one of the problems that are reported
 */
export async function verifyStores(
  stores: OriginStores | MirrorStores,
  published: PublishedHead = async () => null,
): Promise<VerifyReport> {
  return {
    checks: 'metadata' in stores ? await originChecks(stores, published) : await mirrorChecks(stores, published),
  };
}

async function mirrorChecks({ blobs, index, door }: MirrorStores, published: PublishedHead): Promise<Check[]> {
  const reader = indexReader(index, door?.blobs ?? blobs);
  return [
    await verifyLog(reader, published, undefined, 'follower'),
    await verifyJournal(reader),
    await verifyTables(reader, FOLDS.mirror),
    ...(door ? [await verifyHeads(reader), await verifyBlobs('index', door.blobs)] : []),
    await verifyBlobs('blobs', blobs),
    await verifyTombstones(reader, (hex) => blobs.has({ algorithm: 'sha512', hex })),
  ];
}

async function originChecks({ metadata, blobs, tarballs }: OriginStores, published: PublishedHead): Promise<Check[]> {
  const reader = indexReader(metadata, blobs);
  const log = await verifyLog(reader, published);
  const index = await verifyIndex(reader);
  return [log, ...index, await verifyBlobs('blobs', blobs), await verifyBlobs('tarballs', tarballs)];
}

/** Reads stores for the checks of core. */
export function indexReader(metadata: MetadataStore, blobs: BlobStore): IndexReader & LogReader & HeadsReader {
  return {
    size: () => metadata.size(),
    head: () => metadata.head(),
    tile: metadata.tile.bind(metadata),
    folded: () => metadata.folded(),
    entries: metadata.entries.bind(metadata),
    get: metadata.get.bind(metadata),
    scan: metadata.scan.bind(metadata),
    blob: blobOf(blobs),
    holds: (hex) => blobs.has({ algorithm: 'sha256', hex }),
  };
}

function blobOf(blobs: BlobStore): (hex: string) => Promise<Uint8Array> {
  return async (hex) => {
    const bytes = await blobs.read({ algorithm: 'sha256', hex });
    if (bytes === null) throw new Error(`the blob sha256:${hex} is missing`);
    return bytes;
  };
}
