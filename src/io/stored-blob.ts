import type { BlobStore } from './blob-store.ts';

/**
 * A blob of metadata that something of ours names.
 * @throws Error if it is missing: a fault of the store, not of whoever asked
 */
export async function storedBlob(blobs: BlobStore, hex: string, subject: string): Promise<Uint8Array> {
  const bytes = await blobs.read({ algorithm: 'sha256', hex });
  if (!bytes) throw new Error(`blob sha256 ${hex} of ${subject} is missing from the store`);
  return bytes;
}
