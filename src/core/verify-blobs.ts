/** Checks of stored blobs: each has the hash that names it, the size that is listed, and the chunk list that is kept. */

import { createHash } from 'node:crypto';
import { equal } from './bytes.ts';
import { ChunkHasher } from './chunks.ts';
import { IntegrityError, NotFoundError } from './errors.ts';
import { CHUNK_BYTES } from './limits.ts';
import { type Check, Tally } from './verify-report.ts';

type BlobName = { readonly algorithm: 'sha256' | 'sha512'; readonly hex: string };

/** What a blob store can be asked, whoever keeps it. Null where a blob went away meanwhile. */
export type BlobReader = {
  list(): AsyncIterable<{ readonly id: BlobName; readonly size: number }>;
  open(id: BlobName): Promise<{ readonly size: number; readonly body: AsyncIterable<Uint8Array> } | null>;
  chunks(id: BlobName): Promise<Uint8Array | null>;
};

/** Reads every blob of a store. Blobs that are evicted meanwhile are left out. */
export async function verifyBlobs(name: string, reader: BlobReader): Promise<Check> {
  const tally = new Tally(name);
  await tally.attempt('the store', async () => {
    for await (const { id, size } of reader.list()) {
      await tally.attempt(`${id.algorithm}:${id.hex}`, async () => {
        if (!(await verifyBlob(id, size, reader))) return;
        tally.count('blob');
        tally.count('byte', size);
      });
    }
  });
  return tally.result('each with the hash that names it');
}

/** False if it is gone. */
async function verifyBlob(id: BlobName, size: number, reader: BlobReader): Promise<boolean> {
  const found = await hashBlob(id, reader);
  if (found === null) return false;
  if (found.hex !== id.hex) {
    const source = 'the store';
    throw new IntegrityError({ expected: `${id.algorithm}:${id.hex}`, actual: `${id.algorithm}:${found.hex}`, source });
  }
  if (found.size !== size) throw new Error(`it has ${found.size} bytes, listed are ${size}`);
  // One chunk has no list of its own: its hash is that of the blob.
  if (size <= CHUNK_BYTES) return true;
  const chunks = await reader.chunks(id);
  if (chunks !== null && !equal(chunks, found.chunks)) throw new Error('the chunk hashes kept for it are not its own');
  return chunks !== null;
}

async function hashBlob(
  id: BlobName,
  reader: BlobReader,
): Promise<{ hex: string; size: number; chunks: Uint8Array } | null> {
  try {
    const opened = await reader.open(id);
    if (opened === null) return null;
    const hash = createHash(id.algorithm);
    const chunks = new ChunkHasher();
    let size = 0;
    for await (const part of opened.body) {
      hash.update(part);
      chunks.update(part);
      size += part.length;
    }
    return { hex: hash.digest('hex'), size, chunks: chunks.digest() };
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
}
