/** Large files and their chunk hashes: kept beside the file, and checked again while the file is read. */

import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { compare, concat, toHex } from '../core/bytes.ts';
import { ChunkHasher, chunkListBytes } from '../core/chunks.ts';
import { IntegrityError, NotFoundError } from '../core/errors.ts';
import { SHA256_BYTES, sha256 } from '../core/hash.ts';
import { CHUNK_BYTES } from '../core/limits.ts';
import type { BlobId, ByteRange } from './blob-store.ts';
import { openIfThere } from './durable-file.ts';

/** One read: a few chunks, so that the trips to the disk don't cost more than the hashing. */
const PART_BYTES = 4 * CHUNK_BYTES;

/** What is stored of a chunk list: the list and its own SHA-256, so that rot in it is not taken for rot in the blob. */
export const formatChunkFile = (list: Uint8Array): Uint8Array => concat([list, sha256(list)]);

/** The chunk list of a file of `size` bytes, or null if these bytes are none. */
export function parseChunkFile(bytes: Uint8Array, size: number): Uint8Array | null {
  const list = bytes.subarray(0, -SHA256_BYTES);
  const whole = list.length === chunkListBytes(size);
  return whole && compare(bytes.subarray(-SHA256_BYTES), sha256(list)) === 0 ? list : null;
}

/**
 * A range of a file, each chunk checked before any of it is yielded.
 *
 * @throws NotFoundError if the file is gone; IntegrityError before the first wrong byte.
 */
export async function* readChecked(path: string, list: Uint8Array, range: ByteRange): AsyncGenerator<Uint8Array> {
  const first = range.start - (range.start % CHUNK_BYTES);
  const end = Math.ceil(range.end / CHUNK_BYTES) * CHUNK_BYTES;
  for await (const { at, bytes } of readParts(path, first, end)) {
    checkChunks(path, list, at / CHUNK_BYTES, bytes);
    yield bytes.subarray(Math.max(range.start - at, 0), Math.min(range.end - at, bytes.length));
  }
}

/**
 * All of a file of `size` bytes.
 *
 * @throws NotFoundError if the file is gone; IntegrityError.
 */
export async function readWholeChecked(path: string, list: Uint8Array, size: number): Promise<Uint8Array> {
  const whole = new Uint8Array(size);
  let filled = 0;
  for await (const bytes of readChecked(path, list, { start: 0, end: size })) {
    whole.set(bytes, filled);
    filled += bytes.length;
  }
  if (filled === size) return whole;
  throw new IntegrityError({ expected: `${size} bytes`, actual: `${filled} bytes`, source: path });
}

/**
 * The chunk list of a file, made anew from bytes that have the right hash.
 *
 * @param pace called after so many bytes; the reading goes on when it resolves
 * @throws NotFoundError if the file is gone; IntegrityError.
 */
export async function hashChunks(
  path: string,
  id: BlobId,
  pace: (bytes: number) => Promise<void> = async () => undefined,
): Promise<Uint8Array> {
  const whole = createHash(id.algorithm);
  const chunks = new ChunkHasher();
  for await (const { bytes } of readParts(path, 0, Number.POSITIVE_INFINITY)) {
    whole.update(bytes);
    chunks.update(bytes);
    await pace(bytes.length);
  }
  const hex = whole.digest('hex');
  if (hex === id.hex) return chunks.digest();
  throw new IntegrityError({ expected: `${id.algorithm}:${id.hex}`, actual: `${id.algorithm}:${hex}`, source: path });
}

/** Runs of whole chunks (the last of the file may be short), from `first` until `end` or the end of the file. */
async function* readParts(
  path: string,
  first: number,
  end: number,
): AsyncGenerator<{ readonly at: number; readonly bytes: Uint8Array }> {
  const file = await openIfThere(path);
  if (file === null) throw new NotFoundError(`${path} was removed before it could be read`);
  try {
    for (let at = first; at < end; at += PART_BYTES) {
      const bytes = await readFully(file, at, Math.min(PART_BYTES, end - at));
      if (bytes.length > 0) yield { at, bytes };
      if (bytes.length < PART_BYTES) return;
    }
  } finally {
    await file.close();
  }
}

/** Fewer bytes than asked for only at the end of the file. */
export async function readFully(file: FileHandle, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, at + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

function checkChunks(path: string, list: Uint8Array, firstChunk: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    const chunk = firstChunk + at / CHUNK_BYTES;
    const expected = list.subarray(chunk * SHA256_BYTES, (chunk + 1) * SHA256_BYTES);
    const actual = sha256(bytes.subarray(at, at + CHUNK_BYTES));
    if (compare(expected, actual) !== 0) throw wrongChunk(path, chunk, expected, actual);
  }
}

function wrongChunk(path: string, chunk: number, expected: Uint8Array, actual: Uint8Array): IntegrityError {
  const source = `${path}, chunk ${chunk}`;
  return new IntegrityError({ expected: `sha256:${toHex(expected)}`, actual: `sha256:${toHex(actual)}`, source });
}
