/** Blobs that a package is made of: put where they are lacking. */
import type { BlobId, BlobStore } from '../../io/blob-store.ts';
import { MissingBlobError, storedBlob } from '../../io/stored-blob.ts';

/** Blobs in one transaction, so that no write holds up others for long. */
const PUT_BLOBS = 400;

/** Stores those, by SHA-256, that are not there. */
export async function putBlobs(store: BlobStore, all: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const missing: { id: BlobId; bytes: Uint8Array }[] = [];
  for (const [hex, bytes] of all) {
    const id = { algorithm: 'sha256', hex } as const;
    if (!(await store.has(id))) missing.push({ id, bytes });
  }
  for (let at = 0; at < missing.length; at += PUT_BLOBS) await store.putMany(missing.slice(at, at + PUT_BLOBS));
}

/** Stores those, by SHA-256, that the store has lost; each is read, since only that finds rot. */
export async function restoreBlobs(store: BlobStore, all: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const hex of all.keys()) await storedBlob(store, hex, 'a package').catch(ignoreMissing);
  await putBlobs(store, all);
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof MissingBlobError)) throw error;
}
