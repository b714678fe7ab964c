/**
 * Chunk hashes of a tarball: SHA-256 of each 64 KiB of it, so that a reader can check any part before passing it on
 * (docs/protocol.md, "Measured tarballs").
 */

import { createHash, type Hash } from 'node:crypto';
import { compare, concat, toHex } from './bytes.ts';
import { IntegrityError, MalformedError } from './errors.ts';
import { SHA256_BYTES, sha256 } from './hash.ts';
import { CHUNK_BYTES } from './limits.ts';
import { leafHash, rootHash } from './merkle.ts';

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

/** Lets the chunks of a tarball through, one after the other, and none that is not right. */
export class ChunkChecker {
  readonly #size: number;
  readonly #list: Uint8Array;
  readonly #source: string;
  #at: number;
  #chunk: Uint8Array;
  #filled = 0;

  /**
   * @param facts size in bytes and chunk list of the whole
   * @param at where the bytes begin that come: the start of a chunk
   * @param source where they come from, for the message of an error
   */
  constructor(facts: { readonly size: number; readonly list: Uint8Array }, at: number, source: string) {
    this.#size = facts.size;
    this.#list = facts.list;
    this.#source = source;
    this.#at = at;
    this.#chunk = this.#nextChunk();
  }

  /**
   * The chunks that these bytes complete.
   * @throws IntegrityError before a wrong chunk, and when more comes than the tarball has
   */
  *push(bytes: Uint8Array): Generator<Uint8Array> {
    for (let taken = 0; taken < bytes.length; ) {
      if (this.#chunk.length === 0) throw this.#wrong(`${this.#size} bytes`, 'more');
      const part = bytes.subarray(taken, taken + this.#chunk.length - this.#filled);
      this.#chunk.set(part, this.#filled);
      this.#filled += part.length;
      taken += part.length;
      if (this.#filled === this.#chunk.length) yield this.#pass();
    }
  }

  #pass(): Uint8Array {
    const index = this.#at / CHUNK_BYTES;
    const expected = this.#list.subarray(index * SHA256_BYTES, (index + 1) * SHA256_BYTES);
    const actual = sha256(this.#chunk);
    if (compare(expected, actual) !== 0) throw this.#wrong(`sha256:${toHex(expected)}`, `sha256:${toHex(actual)}`);
    const passed = this.#chunk;
    this.#at += passed.length;
    this.#filled = 0;
    this.#chunk = this.#nextChunk();
    return passed;
  }

  #nextChunk(): Uint8Array {
    return new Uint8Array(Math.min(CHUNK_BYTES, this.#size - this.#at));
  }

  #wrong(expected: string, actual: string): IntegrityError {
    return new IntegrityError({ expected, actual, source: `${this.#source}, from byte ${this.#at}` });
  }
}

/**
 * RFC 6962 root of a chunk list; each leaf's data are the 32 bytes of one chunk's SHA-256.
 * @throws MalformedError if the list is not a whole number of hashes
 */
export function chunkRoot(list: Uint8Array): Uint8Array {
  if (list.length % SHA256_BYTES !== 0) {
    throw new MalformedError('chunk list', `${list.length} bytes are no whole number of hashes`);
  }
  return rootHash(hashesOf(list).map(leafHash));
}

/** How many chunks a tarball of this many bytes has. */
export function chunkCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / CHUNK_BYTES);
}

/** Bytes that the chunk list of a tarball of this many bytes has. */
export function chunkListBytes(sizeBytes: number): number {
  return chunkCount(sizeBytes) * SHA256_BYTES;
}

function hashesOf(list: Uint8Array): Uint8Array[] {
  const count = list.length / SHA256_BYTES;
  return Array.from({ length: count }, (_, at) => list.subarray(at * SHA256_BYTES, (at + 1) * SHA256_BYTES));
}
