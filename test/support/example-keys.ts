import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { utf8 } from '../../src/core/bytes.ts';
import { sha256 } from '../../src/core/hash.ts';
import type { Signer } from '../../src/core/note.ts';

// DER of PKCS #8 with id-Ed25519, up to the seed (RFC 8410 section 7).
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A signer whose Ed25519 private key is this seed. */
export function signerFromSeed(name: string, seed: Uint8Array): Signer {
  const privateKey = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const publicKey = Uint8Array.from(spki.subarray(-32));
  return { name, publicKey, sign: (message) => Uint8Array.from(sign(null, message, privateKey)) };
}

/** A signer with a key that anybody can make again from its label, as in docs/protocol.md. */
export function exampleSigner(name: string, label: string): Signer {
  return signerFromSeed(name, sha256(utf8(label)));
}

// The same for id-X25519.
const x25519Prefix = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** An exchange key that anybody can make again from its label. */
export function exampleExchangeKey(label: string): { privateKey: KeyObject; publicKey: KeyObject } {
  const privateKey = createPrivateKey({
    key: Buffer.concat([x25519Prefix, sha256(utf8(label))]),
    format: 'der',
    type: 'pkcs8',
  });
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** The 32 bytes of an exchange key's public half. */
export function publicExchangeKey({ publicKey }: { publicKey: KeyObject }): Buffer {
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
}
