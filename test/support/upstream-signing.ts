import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

/** A registry's signing key as its `/-/npm/v1/keys` shows it. */
export interface RegistryKey {
  readonly keyid: string;
  readonly keytype: 'ecdsa-sha2-nistp256';
  readonly scheme: 'ecdsa-sha2-nistp256';
  /** SubjectPublicKeyInfo, DER in base64. */
  readonly key: string;
  /** ISO date or null. */
  expires: string | null;
}

export interface Signer {
  readonly key: RegistryKey;
  signature(name: string, version: string, integrity: string): { keyid: string; sig: string };
}

/** A fresh ECDSA P-256 key that signs as npm's registry signatures are made: over `name@version:integrity`. */
export function createSigner(): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = registryKey(publicKey);
  return {
    key,
    signature: (name, version, integrity) => ({
      keyid: key.keyid,
      sig: sign('sha256', Buffer.from(`${name}@${version}:${integrity}`), privateKey).toString('base64'),
    }),
  };
}

function registryKey(publicKey: KeyObject): RegistryKey {
  const der = publicKey.export({ type: 'spki', format: 'der' });
  return {
    keyid: `SHA256:${createHash('sha256').update(der).digest('base64')}`,
    keytype: 'ecdsa-sha2-nistp256',
    scheme: 'ecdsa-sha2-nistp256',
    key: der.toString('base64'),
    expires: null,
  };
}
