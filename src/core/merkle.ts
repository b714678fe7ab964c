/**
 * Merkle trees as in RFC 6962 section 2.1, with SHA-256: hashes, inclusion proofs and consistency proofs.
 *
 * A tree over n leaves splits at the largest power of two below n, and so do its two halves. Whatever stands left of a
 * split is a full subtree: its hash never changes as the log grows. Such hashes are what a log stores, and a
 * {@link NodeId} names one. All others are worked out from them: each function here that needs hashes first lists the
 * nodes, asks a {@link HashReader} for them once, and computes on what comes back.
 *
 * Sizes and indexes are safe integers and may exceed 2^32: bit operators would cut them.
 */

import { concat, equal, toHex } from './bytes.ts';
import { ProofError } from './errors.ts';
import { SHA256_BYTES, sha256 } from './hash.ts';

/** A full subtree: 2^level leaves, the first of which is leaf index * 2^level. Level 0 are the leaves themselves. */
export type NodeId = { readonly level: number; readonly index: number };

/**
 * Returns the hashes of these nodes, in order, or rejects: it may give out no hash that it does not vouch for. All nodes
 * of one call are full subtrees of one tree.
 */
export type HashReader = (nodes: readonly NodeId[]) => Promise<Uint8Array[]>;

/** What a tree is, in short: the number of its leaves, and the root hash (32 raw bytes). */
export type TreeHead = { readonly size: number; readonly root: Uint8Array };

/** The subtree over leaves `from` up to, not including, `to`. */
type Subtree = { readonly from: number; readonly to: number };

/** The half that a walk down the tree did not take, and on which side of the other it stands. */
type Sibling = Subtree & { readonly side: 'left' | 'right' };

/** Where a walk ended, and the siblings along it, lowest first: the order of proofs. */
type Walk = { readonly bottom: Subtree; readonly siblings: readonly Sibling[] };

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
 * neighbour moving up unchanged, yields the same tree and needs no recursion. For the same reason the hashes may be
 * those of full subtrees of one height, the last one that of any smaller subtree.
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

/** The full subtrees that make up the tree, largest first: one for each 1 in the size's binary digits. */
export function edgeNodes(size: number): NodeId[] {
  checkSize(size);
  return nodesOf({ from: 0, to: size });
}

/** Root hash of the log's tree at this size. */
export async function treeHash(size: number, read: HashReader): Promise<Uint8Array> {
  return joined(await readAll(edgeNodes(size), read));
}

/**
 * Shows that the leaf at this index is in the tree: the siblings on its way up, its own first (RFC 6962 section 2.1.1).
 * @throws RangeError if the tree has no such leaf
 */
export async function proveInclusion(size: number, index: number, read: HashReader): Promise<Uint8Array[]> {
  checkSize(size);
  if (!isLeafOf(index, size)) throw new RangeError(`no leaf ${index} in a tree of ${size}`);
  return subtreeHashes(walkToLeaf(size, index).siblings, read);
}

/**
 * Checks that a leaf is in a tree (RFC 9162 section 2.1.3.2).
 * @param leaf its hash
 * @throws ProofError if the proof does not show it
 */
export function checkInclusion(proof: readonly Uint8Array[], head: TreeHead, index: number, leaf: Uint8Array): void {
  if (!isLeafOf(index, head.size)) throw new ProofError(`there is no leaf ${index} in a tree of ${head.size}`);
  const { whole } = climb([leaf, ...proof], walkToLeaf(head.size, index).siblings);
  checkRoot(whole, head);
}

/**
 * Shows that the tree at `size` begins with all leaves of the tree at `oldSize` (RFC 6962 section 2.1.2). Empty if the
 * two are one, or if there is no old tree: everything begins with nothing.
 * @throws RangeError if the old tree is the larger one
 */
export async function proveConsistency(oldSize: number, size: number, read: HashReader): Promise<Uint8Array[]> {
  checkSize(oldSize);
  checkSize(size);
  if (oldSize > size) throw new RangeError(`a tree of ${size} can't begin with one of ${oldSize}`);
  if (oldSize === 0) return [];
  const { bottom, siblings } = walkToEdge(size, oldSize);
  return subtreeHashes(bottom.from === 0 ? siblings : [bottom, ...siblings], read);
}

/**
 * Checks that a tree begins with all leaves of an older one (RFC 9162 section 2.1.4.2).
 *
 * Both roots are worked out from the proof: siblings on the left are in either tree, those on the right only in the new
 * one.
 * @throws ProofError if the proof does not show it
 */
export function checkConsistency(proof: readonly Uint8Array[], old: TreeHead, head: TreeHead): void {
  if (!isSize(old.size) || !isSize(head.size) || old.size > head.size) {
    throw new ProofError(`a tree of ${head.size} can't begin with one of ${old.size}`);
  }
  if (old.size === 0) {
    checkBeginsEmpty(proof, old, head);
    return;
  }
  const { bottom, siblings } = walkToEdge(head.size, old.size);
  // Where the walk ends at the old tree itself, the proof leaves out its root: who asks knows it.
  const { left, whole } = climb(bottom.from === 0 ? [old.root, ...proof] : proof, siblings);
  checkRoot(left, old);
  checkRoot(whole, head);
}

function checkBeginsEmpty(proof: readonly Uint8Array[], old: TreeHead, head: TreeHead): void {
  if (proof.length > 0)
    throw new ProofError('nothing is to be proven about the empty tree, but the proof is not empty');
  checkRoot(rootHash([]), old);
  if (head.size === 0) checkRoot(rootHash([]), head);
}

/** From the root down to a leaf. */
function walkToLeaf(size: number, leaf: number): Walk {
  return walk(size, leaf, ({ from, to }) => to - from === 1);
}

/** From the root down to the subtree that the last leaf of the tree at `oldSize` completes there. */
function walkToEdge(size: number, oldSize: number): Walk {
  return walk(size, oldSize - 1, ({ to }) => to === oldSize);
}

function walk(size: number, leaf: number, isBottom: (subtree: Subtree) => boolean): Walk {
  const siblings: Sibling[] = [];
  let bottom: Subtree = { from: 0, to: size };
  while (!isBottom(bottom)) {
    const split = bottom.from + powerBelow(bottom.to - bottom.from);
    const [left, right] = [
      { from: bottom.from, to: split },
      { from: split, to: bottom.to },
    ];
    siblings.unshift(leaf < split ? { ...right, side: 'right' } : { ...left, side: 'left' });
    bottom = leaf < split ? left : right;
  }
  return { bottom, siblings };
}

/**
 * Walks back up: what the hashes yield with their siblings on the left alone, and with all of them.
 * @param hashes that of the bottom, then those of the siblings
 */
function climb(hashes: readonly Uint8Array[], siblings: readonly Sibling[]): { left: Uint8Array; whole: Uint8Array } {
  const surplus = hashes.length - 1 - siblings.length;
  if (surplus !== 0)
    throw new ProofError(`the proof has ${Math.abs(surplus)} hashes too ${surplus > 0 ? 'many' : 'few'}`);
  if (hashes.some(({ length }) => length !== SHA256_BYTES)) throw new ProofError('the proof holds what is no SHA-256');
  let [left, whole] = [hashes[0] as Uint8Array, hashes[0] as Uint8Array];
  for (const [at, { side }] of siblings.entries()) {
    const sibling = hashes[at + 1] as Uint8Array;
    if (side === 'left') left = nodeHash(sibling, left);
    whole = side === 'left' ? nodeHash(sibling, whole) : nodeHash(whole, sibling);
  }
  return { left, whole };
}

function checkRoot(root: Uint8Array, head: TreeHead): void {
  if (equal(root, head.root)) return;
  throw new ProofError(
    `the proof leads to another root of the tree of ${head.size}: ${toHex(root)}, not ${toHex(head.root)}`,
  );
}

async function subtreeHashes(subtrees: readonly Subtree[], read: HashReader): Promise<Uint8Array[]> {
  const parts = subtrees.map(nodesOf);
  const hashes = await readAll(parts.flat(), read);
  return parts.map((part) => joined(hashes.splice(0, part.length)));
}

async function readAll(nodes: readonly NodeId[], read: HashReader): Promise<Uint8Array[]> {
  const hashes = nodes.length === 0 ? [] : await read(nodes);
  if (hashes.length === nodes.length) return [...hashes];
  throw new Error(`the reader gave ${hashes.length} hashes for ${nodes.length} nodes`);
}

/** The full subtrees side by side that make up a subtree, largest first. */
function nodesOf({ from, to }: Subtree): NodeId[] {
  const nodes: NodeId[] = [];
  for (let at = from; at < to; ) {
    const level = levelWithin(to - at);
    nodes.push({ level, index: at / 2 ** level });
    at += 2 ** level;
  }
  return nodes;
}

/** Hash of the subtree that {@link nodesOf} took apart: each node's sibling is all that follows it. */
function joined(hashes: readonly Uint8Array[]): Uint8Array {
  return hashes.length === 0 ? rootHash([]) : hashes.reduceRight((right, left) => nodeHash(left, right));
}

/** Height of the largest full subtree with at most that many leaves. Math.log2 would round up just below a power. */
function levelWithin(leaves: number): number {
  let level = 0;
  while (2 ** (level + 1) <= leaves) level++;
  return level;
}

/** The largest power of two below the number, which is at least 2. */
function powerBelow(leaves: number): number {
  return 2 ** levelWithin(leaves - 1);
}

function isLeafOf(index: number, size: number): boolean {
  return isSize(size) && isSize(index) && index < size;
}

function isSize(size: number): boolean {
  return Number.isSafeInteger(size) && size >= 0;
}

function checkSize(size: number): void {
  if (!isSize(size)) throw new RangeError(`${size} is no size of a tree`);
}
