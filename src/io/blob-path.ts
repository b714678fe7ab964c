/**
 * Where blobs lie in the folder of a file blob store. Only this file knows.
 *
 *     <algorithm>/<first two digits>/<hex>           the bytes of a blob, nothing else
 *     <algorithm>/<first two digits>/<hex>.chunks    its chunk hashes, only for blobs above a mebibyte
 *     tmp/                                           what is being written; emptied at start
 *     quarantine/                                    what was found to have rotted: kept for a look, never served
 */

import { join } from 'node:path';
import { digestOf, isHashOf } from './blob-intake.ts';
import type { BlobId } from './blob-store.ts';

export const ALGORITHMS: readonly BlobId['algorithm'][] = ['sha256', 'sha512'];

export const tempFolderOf = (dir: string): string => join(dir, 'tmp');
export const quarantineOf = (dir: string): string => join(dir, 'quarantine');
export const algorithmFolder = (dir: string, algorithm: BlobId['algorithm']): string => join(dir, algorithm);

/** One of 256 folders per algorithm: a million blobs are four thousand names in each. */
export const fanOutFolder = (dir: string, { algorithm, hex }: BlobId): string => join(dir, algorithm, hex.slice(0, 2));

/** @throws TypeError for anything but lower-case hex of the right length, so that no id leaves the store's folder. */
export function blobPath(dir: string, id: BlobId): string {
  digestOf(id);
  return join(fanOutFolder(dir, id), id.hex);
}

export const chunksPath = (dir: string, id: BlobId): string => `${blobPath(dir, id)}.chunks`;

/** The blob that a file in a fan-out folder holds, or null if it holds none. */
export function blobOfFile(algorithm: BlobId['algorithm'], fileName: string): BlobId | null {
  return isHashOf(algorithm, fileName) ? { algorithm, hex: fileName } : null;
}
