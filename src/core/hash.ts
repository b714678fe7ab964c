import { type BinaryLike, hash } from 'node:crypto';

/** Length of a SHA-256, in bytes. */
export const SHA256_BYTES = 32;

/** SHA-256 as 32 bytes (FIPS 180-4). */
export function sha256(bytes: Uint8Array): Uint8Array {
  const digest = hash('sha256', bytes, 'buffer');
  return new Uint8Array(digest.buffer, digest.byteOffset, digest.byteLength);
}

/** SHA-256 as 64 lower-case hex digits. */
export function sha256Hex(bytes: Uint8Array): string {
  return hex('sha256', bytes);
}

/** SHA-512 as 128 lower-case hex digits. */
export function sha512Hex(bytes: Uint8Array): string {
  return hex('sha512', bytes);
}

function hex(algorithm: string, bytes: BinaryLike): string {
  return hash(algorithm, bytes, 'hex');
}
