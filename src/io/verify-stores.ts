/** `verify` over open stores, be they those of a running server or of a stopped data directory. */

import { verifyBlobs } from '../core/verify-blobs.ts';
import { verifyFollowed } from '../core/verify-followed.ts';
import { verifyIndex } from '../core/verify-index.ts';
import type { Check, VerifyReport } from '../core/verify-report.ts';
import type { BlobStore } from './blob-store.ts';
import type { MirrorStores, OriginStores } from './stores.ts';

/** Checks everything. Reading finds rot, and what has rotted is moved to quarantine, as by any other reader. */
export async function verifyStores(stores: OriginStores | MirrorStores): Promise<VerifyReport> {
  return { checks: 'metadata' in stores ? await originChecks(stores) : await mirrorChecks(stores) };
}

async function mirrorChecks({ blobs, door }: MirrorStores): Promise<Check[]> {
  const checks = [await verifyBlobs('blobs', blobs)];
  if (door === null) return checks;
  const { metadata } = door;
  const followed = await verifyFollowed({ scan: metadata.scan.bind(metadata), blob: blobOf(door.blobs) });
  return [followed, await verifyBlobs('index', door.blobs), ...checks];
}

async function originChecks({ metadata, blobs, tarballs }: OriginStores): Promise<Check[]> {
  const reader = {
    size: () => metadata.size(),
    folded: () => metadata.folded(),
    entries: metadata.entries.bind(metadata),
    get: metadata.get.bind(metadata),
    scan: metadata.scan.bind(metadata),
    blob: blobOf(blobs),
  };
  const index = await verifyIndex(reader);
  return [...index, await verifyBlobs('blobs', blobs), await verifyBlobs('tarballs', tarballs)];
}

function blobOf(blobs: BlobStore): (hex: string) => Promise<Uint8Array> {
  return async (hex) => {
    const bytes = await blobs.read({ algorithm: 'sha256', hex });
    if (bytes === null) throw new Error(`the blob sha256:${hex} is missing`);
    return bytes;
  };
}
