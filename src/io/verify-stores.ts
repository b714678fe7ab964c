/** `verify` over open stores, be they those of a running server or of a stopped data directory. */

import { verifyBlobs } from '../core/verify-blobs.ts';
import { verifyIndex } from '../core/verify-index.ts';
import type { VerifyReport } from '../core/verify-report.ts';
import type { MirrorStores, OriginStores } from './stores.ts';

/** Checks everything. Reading finds rot, and what has rotted is moved to quarantine, as by any other reader. */
export async function verifyStores(stores: OriginStores | MirrorStores): Promise<VerifyReport> {
  if (!('metadata' in stores)) return { checks: [await verifyBlobs('blobs', stores.blobs)] };
  const { metadata, blobs, tarballs } = stores;
  const reader = {
    size: () => metadata.size(),
    folded: () => metadata.folded(),
    entries: metadata.entries.bind(metadata),
    get: metadata.get.bind(metadata),
    scan: metadata.scan.bind(metadata),
    blob: async (hex: string) => {
      const bytes = await blobs.read({ algorithm: 'sha256', hex });
      if (bytes === null) throw new Error(`the blob sha256:${hex} is missing`);
      return bytes;
    },
  };
  const index = await verifyIndex(reader);
  return { checks: [...index, await verifyBlobs('blobs', blobs), await verifyBlobs('tarballs', tarballs)] };
}
