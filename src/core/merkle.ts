/** Merkle tree hashes as in RFC 6962 section 2.1, with SHA-256. */

import { concat } from './bytes.ts';
import { sha256 } from './hash.ts';

// The two prefixes keep a leaf from being passed off as an inner node (RFC 6962 section 2.1).
const leafPrefix = Uint8Array.of(0);
const nodePrefix = Uint8Array.of(1);

/** Hash of a leaf with these data: SHA-256(0x00 || data). */
export function leafHash(data: Uint8Array): Uint8Array {
  return sha256(concat([leafPrefix, data]));
}

/** Hash of the node over two subtrees: SHA-256(0x01 || left || right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(concat([nodePrefix, left, right]));
}

/**
 * Root hash of the tree over these leaf hashes, in order; SHA-256 of the empty string if there are none.
 *
 * RFC 6962 splits at the largest power of two below the size. Pairing neighbours level by level, a last one without a
 * neighbour moving up unchanged, yields the same tree and needs no recursion.
 */
export function rootHash(leafHashes: readonly Uint8Array[]): Uint8Array {
  let level = leafHashes;
  while (level.length > 1) level = levelAbove(level);
  return level[0] ?? sha256(new Uint8Array(0));
}

function levelAbove(level: readonly Uint8Array[]): Uint8Array[] {
  const above: Uint8Array[] = [];
  for (let at = 0; at < level.length; at += 2) {
    const [left, right] = [level[at] as Uint8Array, level[at + 1]];
    above.push(right === undefined ? left : nodeHash(left, right));
  }
  return above;
}
