/** What every blob store does with bytes that come in: hash them as they pass, and compare with what was promised. */

import { createHash, type Hash, hash } from 'node:crypto';
import { fromHex } from '../core/bytes.ts';
import { ChunkHasher } from '../core/chunks.ts';
import { IntegrityError, TooLargeError } from '../core/errors.ts';
import type { BlobId, ByteRange, Expected, PutStreamOptions, StreamedBlob } from './blob-store.ts';

export const formatBlobId = ({ algorithm, hex }: Expected): string => `${algorithm}:${hex}`;

/** The inverse of {@link formatBlobId}. */
export function parseBlobId(key: string): BlobId {
  const [algorithm, hex = ''] = key.split(':');
  return { algorithm: algorithm as BlobId['algorithm'], hex };
}

const HEX_DIGITS = { sha256: 64, sha512: 128 };

export function isHashOf(algorithm: BlobId['algorithm'], hex: string): boolean {
  return hex.length === HEX_DIGITS[algorithm] && /^[0-9a-f]+$/.test(hex);
}

/** The bytes of a blob's hash. @throws TypeError for anything that is not the lower-case hex of one. */
export function digestOf(id: BlobId): Uint8Array {
  if (!isHashOf(id.algorithm, id.hex)) throw new TypeError(`${formatBlobId(id)} is not the hash of a blob`);
  return fromHex(id.hex);
}

/**
 * Checks whole bytes against the hash that names them.
 *
 * @param source where the bytes are, for the message
 * @throws IntegrityError
 */
export function checkBlob(id: BlobId, bytes: Uint8Array, source: string): void {
  const hex = hash(id.algorithm, bytes, 'hex');
  if (hex === id.hex) return;
  throw new IntegrityError({ expected: formatBlobId(id), actual: `${id.algorithm}:${hex}`, source });
}

/** All of a blob where no range was asked for. */
export function rangeWithin(size: number, range: ByteRange = { start: 0, end: size }): ByteRange {
  const { start, end } = range;
  if (start >= 0 && start <= end && end <= size) return range;
  throw new RangeError(`bytes ${start} to ${end} are not within a blob of ${size} bytes`);
}

/** Bytes that are in memory already, as the body of an open blob. */
export async function* bodyOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

/** Hashes a stream while it passes. `finish` says what it was, or throws if it is not what was expected. */
export class BlobIntake {
  readonly #expected: Expected;
  readonly #options: PutStreamOptions;
  readonly #hashes: ReadonlyMap<string, Hash>;
  readonly #chunks = new ChunkHasher();
  #size = 0;

  constructor(expected: Expected, options: PutStreamOptions) {
    this.#expected = expected;
    this.#options = options;
    const algorithms = new Set([expected.algorithm, options.keyAlgorithm, 'sha512']);
    this.#hashes = new Map([...algorithms].map((algorithm) => [algorithm, createHash(algorithm)]));
  }

  /** @throws TooLargeError as soon as the stream is longer than allowed. */
  update(bytes: Uint8Array): void {
    this.#size += bytes.length;
    const { maxBytes, from = 'a stream' } = this.#options;
    if (this.#size > maxBytes) throw new TooLargeError(`${from} has more than the ${maxBytes} bytes allowed`);
    for (const one of this.#hashes.values()) one.update(bytes);
    this.#chunks.update(bytes);
  }

  /** @throws IntegrityError */
  finish(): StreamedBlob {
    const digests = new Map([...this.#hashes].map(([algorithm, one]) => [algorithm, one.digest('hex')]));
    const hexOf = (algorithm: string): string => digests.get(algorithm) as string;
    const { algorithm, hex } = this.#expected;
    if (hexOf(algorithm) !== hex) throw this.#wrong(hexOf(algorithm));
    const { keyAlgorithm } = this.#options;
    const id: BlobId = { algorithm: keyAlgorithm, hex: hexOf(keyAlgorithm) };
    return { id, size: this.#size, sha512: hexOf('sha512'), chunks: this.#chunks.digest() };
  }

  #wrong(hex: string): IntegrityError {
    const expected = formatBlobId(this.#expected);
    const actual = formatBlobId({ algorithm: this.#expected.algorithm, hex });
    return new IntegrityError({ expected, actual, source: this.#options.from ?? 'a stream' });
  }
}
