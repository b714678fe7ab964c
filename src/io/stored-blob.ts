import { IntegrityError } from '../core/errors.ts';
import type { BlobStore } from './blob-store.ts';

/** A blob that something of ours names is not there, or has rotted: a fault of the store, not of whoever asked. */
export class MissingBlobError extends Error {
  override readonly name = 'MissingBlobError';
}

/**
 * A blob of metadata that something of ours names.
 * @throws MissingBlobError
 */
export async function storedBlob(blobs: BlobStore, hex: string, subject: string): Promise<Uint8Array> {
  const bytes = await blobs.read({ algorithm: 'sha256', hex }).catch((error) => {
    if (!(error instanceof IntegrityError)) throw error;
    throw new MissingBlobError(`blob sha256 ${hex} of ${subject} has rotted in the store`, { cause: error });
  });
  if (!bytes) throw new MissingBlobError(`blob sha256 ${hex} of ${subject} is missing from the store`);
  return bytes;
}
