import { Buffer } from 'node:buffer';
import { createPublicKey, verify } from 'node:crypto';

/** Lengths of raw Ed25519 values in bytes (RFC 8032 section 5.1). */
export const ED25519_KEY_BYTES = 32;
export const ED25519_SIGNATURE_BYTES = 64;

// DER of SubjectPublicKeyInfo with id-Ed25519, up to the key's own bytes (RFC 8410 section 4).
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/** Whether the signature of the message is good under this raw public key; false for wrong lengths, too. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== ED25519_KEY_BYTES || signature.length !== ED25519_SIGNATURE_BYTES) return false;
  const key = createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: 'der', type: 'spki' });
  return verify(null, message, key, signature);
}
