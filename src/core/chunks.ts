/**
 * Chunk hashes of a tarball: SHA-256 of each 64 KiB of it, so that a reader can check any part before passing it on
 * (docs/protocol.md, "Measured tarballs").
 */

import { createHash, type Hash } from 'node:crypto';
import { concat } from './bytes.ts';
import { MalformedError } from './errors.ts';
import { CHUNK_BYTES } from './limits.ts';
import { leafHash, rootHash } from './merkle.ts';

const HASH_BYTES = 32;

/** Hashes a tarball chunk by chunk as its bytes pass, in whatever portions they come. */
export class ChunkHasher {
  #done: Uint8Array[] = [];
  #chunk: Hash = createHash('sha256');
  #filled = 0;

  update(bytes: Uint8Array): this {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + CHUNK_BYTES - this.#filled);
      this.#chunk.update(part);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === CHUNK_BYTES) this.#finishChunk();
    }
    return this;
  }

  /** The chunk list: 32 bytes per chunk, the last chunk may be short, none for no bytes. Call once, at the end. */
  digest(): Uint8Array {
    if (this.#filled > 0) this.#finishChunk();
    return concat(this.#done);
  }

  #finishChunk(): void {
    this.#done.push(this.#chunk.digest());
    this.#chunk = createHash('sha256');
    this.#filled = 0;
  }
}

/**
 * RFC 6962 root of a chunk list; each leaf's data are the 32 bytes of one chunk's SHA-256.
 * @throws MalformedError if the list is not a whole number of hashes
 */
export function chunkRoot(list: Uint8Array): Uint8Array {
  if (list.length % HASH_BYTES !== 0) {
    throw new MalformedError('chunk list', `${list.length} bytes are no whole number of hashes`);
  }
  return rootHash(hashesOf(list).map(leafHash));
}

/** How many chunks a tarball of this many bytes has. */
export function chunkCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / CHUNK_BYTES);
}

function hashesOf(list: Uint8Array): Uint8Array[] {
  const count = list.length / HASH_BYTES;
  return Array.from({ length: count }, (_, at) => list.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));
}
