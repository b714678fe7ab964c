/** How the keys of hosts, and what is named after them, are named; an origin's cosigner key too. */
import { MalformedError } from './errors.ts';
import { COSIGNATURE_TYPE, hostIdOf, parseVkey } from './note.ts';

/** Name of a host's identity key in verifier keys and notes. */
export function hostKeyName(hostId: string): string {
  return `host/${hostId}`;
}

/** Name of the key by which a host says: I hold every entry up to this checkpoint. */
export function mirrorKeyName(hostId: string): string {
  return `mirror/${hostId}`;
}

/** Name of the key by which a host says: this is the largest tree that I was shown. A role and a key of its own. */
export function witnessKeyName(hostId: string): string {
  return `witness/${hostId}`;
}

/** Name of the key by which an origin says that its newest checkpoint still is the newest. */
export function originCosignerName(logName: string): string {
  return `${logName}/cosigner`;
}

/** @throws MalformedError if the vkey is not one of a cosigner, or not named after this host */
export function checkMirrorKey(vkey: string, hostId: string): void {
  const { name } = parseVkey(vkey, COSIGNATURE_TYPE);
  if (name !== mirrorKeyName(hostId))
    throw new MalformedError('cosigner key', `its name must be ${mirrorKeyName(hostId)}`);
}

/**
 * Id and raw public key of a host's verifier key.
 * @throws MalformedError if it is no Ed25519 verifier key, or its name is not that of the key's host
 */
export function parseHostKey(vkey: string): { hostId: string; publicKey: Uint8Array } {
  const { name, publicKey } = parseVkey(vkey);
  const hostId = hostIdOf(publicKey);
  if (name !== hostKeyName(hostId)) {
    throw new MalformedError('host key', `its name must be ${hostKeyName(hostId)}`);
  }
  return { hostId, publicKey };
}
