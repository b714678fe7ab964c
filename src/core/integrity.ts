/** Hashes of tarballs as packuments, clients and our own records spell them. */

import { Buffer } from 'node:buffer';
import { parse } from 'ssri';
import { MalformedError } from './errors.ts';

/** The hash by which a version's tarball is pinned: lower-case hex, 128 digits for sha512, 40 for sha1. */
export type PinnedHash = { readonly algorithm: 'sha512' | 'sha1'; readonly hex: string };

type Algorithm = PinnedHash['algorithm'];

const HEX_LENGTH: Record<Algorithm, number> = { sha512: 128, sha1: 40 };

/**
 * The strongest hash in a manifest's `dist` that names one byte string: sha512 of `integrity`, else sha1 of `shasum` or
 * `integrity`. Null if there is none, or if the strongest algorithm is there with two different values, since then
 * nobody can say which bytes are meant.
 */
export function pinnedHashOf(dist: { integrity?: unknown; shasum?: unknown }): PinnedHash | null {
  const integrity = typeof dist.integrity === 'string' ? dist.integrity : '';
  const sha512 = digestsIn(integrity, 'sha512');
  if (sha512.length > 0) return only('sha512', sha512);
  const shasum = typeof dist.shasum === 'string' ? [dist.shasum.toLowerCase()] : [];
  return only('sha1', [...shasum, ...digestsIn(integrity, 'sha1')]);
}

/** `sha512:<hex>` or `sha1:<hex>`, as records and tables spell it. */
export function formatPinned(pinned: PinnedHash): string {
  return `${pinned.algorithm}:${pinned.hex}`;
}

/** @throws MalformedError for anything that `formatPinned` would not print */
export function parsePinned(text: string): PinnedHash {
  const [algorithm = '', hex = ''] = text.split(':', 2);
  if (isAlgorithm(algorithm) && isHexOf(algorithm, hex) && text === `${algorithm}:${hex}`) return { algorithm, hex };
  const reason = 'expected sha512:<128 lower-case hex digits> or sha1:<40 lower-case hex digits>';
  throw new MalformedError('pinned hash', reason);
}

/** The hash as Subresource Integrity spells it: `sha512-<base64>`. */
export function sriOf(pinned: PinnedHash): string {
  return `${pinned.algorithm}-${base64Of(pinned.hex)}`;
}

/**
 * Whether a client that checks a tarball against this SRI string accepts exactly the pinned bytes.
 *
 * npm's `ssri` takes any one match among the hashes of the strongest algorithm it knows, and compares base64 as text. So
 * that algorithm must be sha512, with one hash, spelled as the pinned one.
 */
export function sriProves(sri: string, pinned: PinnedHash): boolean {
  if (pinned.algorithm !== 'sha512') return false;
  const listed = parse(sri);
  if (listed?.pickAlgorithm() !== 'sha512') return false;
  const [hash, ...others] = listed.sha512 ?? [];
  return others.length === 0 && hash?.digest === base64Of(pinned.hex);
}

function digestsIn(integrity: string, algorithm: Algorithm): string[] {
  const hashes = parse(integrity)?.[algorithm] ?? [];
  return hashes.map((hash) => Buffer.from(hash.digest, 'base64').toString('hex'));
}

function only(algorithm: Algorithm, hexes: readonly string[]): PinnedHash | null {
  const [hex = '', ...others] = new Set(hexes);
  return others.length === 0 && isHexOf(algorithm, hex) ? { algorithm, hex } : null;
}

function isAlgorithm(text: string): text is Algorithm {
  return Object.hasOwn(HEX_LENGTH, text);
}

function isHexOf(algorithm: Algorithm, hex: string): boolean {
  return hex.length === HEX_LENGTH[algorithm] && /^[0-9a-f]+$/.test(hex);
}

function base64Of(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}
