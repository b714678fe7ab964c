import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { concat, equal, toHex, utf8 } from '../../src/core/bytes.ts';
import { ProofError } from '../../src/core/errors.ts';
import { sha256Hex } from '../../src/core/hash.ts';
import {
  checkConsistency,
  checkInclusion,
  edgeNodes,
  type HashReader,
  leafHash,
  nodeHash,
  proveConsistency,
  proveInclusion,
  rootHash,
  type TreeHead,
  treeHash,
} from '../../src/core/merkle.ts';
import { readerOf, uniformReader } from '../support/hash-reader.ts';

type Vectors = {
  roots: { size: number; root: string }[];
  inclusion: { size: number; index: number; length: number; sha256: string }[];
  consistency: { old: number; size: number; length: number; sha256: string }[];
};
const vectors = JSON.parse(readFileSync(new URL('../vectors/tlog.json', import.meta.url), 'utf8'));

const SIZE = 256;
const leaves = Array.from({ length: SIZE }, (_, at) => leafHash(utf8(`entry ${at}`)));
const leafAt = (index: number) => leaves[index] as Uint8Array;
const heads: TreeHead[] = Array.from({ length: SIZE + 1 }, (_, size) => ({
  size,
  root: rootHash(leaves.slice(0, size)),
}));
const headOf = (size: number) => heads[size] as TreeHead;
const empty = headOf(0);
const read = readerOf(leaves);

const manyLeaves = Array.from({ length: 70_000 }, (_, at) => leafHash(utf8(`entry ${at}`)));
const logs: [name: string, vectors: Vectors, read: HashReader][] = [
  ['up to 70,000 different entries', vectors.small, readerOf(manyLeaves)],
  ['up to 2^53-1 equal entries', vectors.large, uniformReader(leafHash(utf8('same')))],
];
for (const [name, { roots, inclusion, consistency }, reader] of logs) {
  test(`roots and proofs over ${name} are those of sumdb/tlog, and are accepted`, async () => {
    const rootOf = new Map<number, Uint8Array>();
    for (const { size, root } of roots) {
      rootOf.set(size, await treeHash(size, reader));
      assert.equal(toHex(rootOf.get(size) as Uint8Array), root, `size ${size}`);
    }
    const head = (size: number) => ({ size, root: rootOf.get(size) as Uint8Array });
    for (const { size, index, ...expected } of inclusion) {
      const proof = await proveInclusion(size, index, reader);
      assert.deepEqual({ length: proof.length, sha256: sha256Hex(concat(proof)) }, expected, `${index} in ${size}`);
      const [leaf] = await reader([{ level: 0, index }]);
      checkInclusion(proof, head(size), index, leaf as Uint8Array);
    }
    for (const { old, size, ...expected } of consistency) {
      const proof = await proveConsistency(old, size, reader);
      assert.deepEqual({ length: proof.length, sha256: sha256Hex(concat(proof)) }, expected, `${old} to ${size}`);
      checkConsistency(proof, head(old), head(size));
    }
  });
}

test('the edge of a tree has one node for each 1 in the binary digits of its size', () => {
  assert.deepEqual(edgeNodes(0), []);
  assert.deepEqual(edgeNodes(7), [
    { level: 2, index: 0 },
    { level: 1, index: 2 },
    { level: 0, index: 6 },
  ]);
  assert.deepEqual(edgeNodes(2 ** 32 + 2), [
    { level: 32, index: 0 },
    { level: 1, index: 2 ** 31 },
  ]);
  const nodes = edgeNodes(Number.MAX_SAFE_INTEGER);
  assert.deepEqual(nodes.at(-1), { level: 0, index: 2 ** 53 - 2 });
  assert.deepEqual(
    nodes.map(({ level }) => level),
    Array.from({ length: 53 }, (_, at) => 52 - at),
  );
});

test('the hash of every size to 256 is put together from the edge', async () => {
  for (const { size, root } of heads) assert.equal(toHex(await treeHash(size, read)), toHex(root), `size ${size}`);
});

/** RFC 6962 section 2.1.1 word for word. */
function auditPath(index: number, hashes: readonly Uint8Array[]): Uint8Array[] {
  if (hashes.length === 1) return [];
  const split = splitOf(hashes.length);
  const [left, right] = [hashes.slice(0, split), hashes.slice(split)];
  if (index < split) return [...auditPath(index, left), rootHash(right)];
  return [...auditPath(index - split, right), rootHash(left)];
}

/** RFC 6962 section 2.1.2 word for word. */
function subproof(old: number, hashes: readonly Uint8Array[], isWhole: boolean): Uint8Array[] {
  if (old === hashes.length) return isWhole ? [] : [rootHash(hashes)];
  const split = splitOf(hashes.length);
  const [left, right] = [hashes.slice(0, split), hashes.slice(split)];
  if (old <= split) return [...subproof(old, left, isWhole), rootHash(right)];
  return [...subproof(old - split, right, false), rootHash(left)];
}

function splitOf(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

test('proofs are as RFC 6962 defines them, for all sizes to 40', async () => {
  for (let size = 1; size <= 40; size++) {
    const hashes = leaves.slice(0, size);
    for (let at = 0; at < size; at++) {
      assert.deepEqual(await proveInclusion(size, at, read), auditPath(at, hashes), `${at} in ${size}`);
      assert.deepEqual(
        await proveConsistency(at + 1, size, read),
        subproof(at + 1, hashes, true),
        `${at + 1} to ${size}`,
      );
    }
  }
});

/** What a liar could do to a proof. */
function* changed(proof: readonly Uint8Array[]): Generator<Uint8Array[]> {
  yield [...proof, leafAt(0)];
  yield [leafAt(0), ...proof];
  if (proof.length === 0) return;
  yield proof.slice(1);
  yield proof.slice(0, -1);
  const at = (proof.length % 7) % proof.length;
  yield proof.with(at, flipped(proof[at] as Uint8Array, proof.length));
  yield proof.with(at, (proof[at] as Uint8Array).subarray(1));
}

function flipped(hash: Uint8Array, seed: number): Uint8Array {
  const at = seed % hash.length;
  return hash.with(at, (hash[at] as number) ^ (1 << (seed % 8)));
}

/** As assert.throws with ProofError, but fast enough for a hundred thousand of them. */
function refused(what: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (error instanceof ProofError) return;
    throw error;
  }
  assert.fail(`accepted: ${what}`);
}

test('every leaf of every tree to 256 is proven, and no other, and with no other proof', async () => {
  for (let size = 1; size <= SIZE; size++) {
    const head = headOf(size);
    for (let index = 0; index < size; index++) {
      const [leaf, what] = [leafAt(index), `${index} in ${size}`];
      const proof = await proveInclusion(size, index, read);
      checkInclusion(proof, head, index, leaf);
      if (index % 8 !== size % 8) continue;
      if (size > 1) refused(what, () => checkInclusion(proof, head, (index + 1) % size, leaf));
      refused(what, () => checkInclusion(proof, head, index, flipped(leaf, size)));
      for (const bad of changed(proof)) refused(what, () => checkInclusion(bad, head, index, leaf));
    }
  }
});

test('every tree to 256 is proven to begin with every smaller one, and with no other proof', async () => {
  for (let size = 0; size <= SIZE; size++) {
    const head = headOf(size);
    for (let oldSize = 0; oldSize <= size; oldSize++) {
      const [old, what] = [headOf(oldSize), `${oldSize} to ${size}`];
      const proof = await proveConsistency(oldSize, size, read);
      checkConsistency(proof, old, head);
      if (oldSize % 8 !== size % 8) continue;
      refused(what, () => checkConsistency(proof, { ...old, root: flipped(old.root, size) }, head));
      if (oldSize > 0) refused(what, () => checkConsistency(proof, old, { size, root: flipped(head.root, oldSize) }));
      for (const bad of changed(proof)) refused(what, () => checkConsistency(bad, old, head));
    }
  }
});

test('nothing is to be proven between a tree and itself, or after the empty one', async () => {
  assert.deepEqual(await proveConsistency(5, 5, read), []);
  assert.deepEqual(await proveConsistency(0, 5, read), []);
  assert.throws(() => checkConsistency([leafAt(0)], empty, headOf(5)), /nothing is to be proven about the empty tree/);
  assert.throws(() => checkConsistency([], headOf(5), { size: 5, root: headOf(6).root }), ProofError);
  assert.throws(() => checkConsistency([], empty, { size: 0, root: headOf(1).root }), ProofError);
  assert.throws(() => checkConsistency([], { size: 0, root: headOf(1).root }, headOf(5)), ProofError);
});

test('a proof between two sizes proves nothing between others', async () => {
  const proof = await proveConsistency(100, 200, read);
  for (const [old, size] of [
    [99, 200],
    [101, 200],
    [100, 199],
    [100, 201],
  ] as const) {
    assert.throws(() => checkConsistency(proof, headOf(old), headOf(size)), ProofError);
  }
});

test('two histories are told apart wherever they part', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: SIZE }), fc.nat(), fc.nat(), async (size, some, other) => {
      const old = (some % size) + 1;
      const at = other % old;
      const lie = leaves.with(at, leafHash(utf8('another entry'))).slice(0, size);
      const proof = await proveConsistency(old, size, readerOf(lie));
      const head = { size, root: rootHash(lie) };
      assert.throws(() => checkConsistency(proof, headOf(old), head), ProofError);
      checkConsistency(proof, { size: old, root: rootHash(lie.slice(0, old)) }, head);
    }),
    { numRuns: 100 },
  );
});

test('what is no size or no leaf is refused', async () => {
  for (const size of [-1, 1.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
    assert.throws(() => edgeNodes(size), RangeError);
    await assert.rejects(treeHash(size, read), RangeError);
    await assert.rejects(proveInclusion(size, 0, read), RangeError);
    await assert.rejects(proveInclusion(10, size, read), RangeError);
    await assert.rejects(proveConsistency(size, 10, read), RangeError);
    await assert.rejects(proveConsistency(0, size, read), RangeError);
    assert.throws(() => checkInclusion([], { size, root: leafAt(0) }, 0, leafAt(0)), ProofError);
    assert.throws(() => checkInclusion([], headOf(10), size, leafAt(0)), ProofError);
    assert.throws(() => checkConsistency([], { size, root: leafAt(0) }, headOf(10)), ProofError);
    assert.throws(() => checkConsistency([], headOf(1), { size, root: leafAt(0) }), ProofError);
  }
  await assert.rejects(proveInclusion(10, 10, read), RangeError);
  await assert.rejects(proveConsistency(10, 9, read), RangeError);
  assert.throws(() => checkInclusion([], headOf(10), 10, leafAt(0)), ProofError);
  assert.throws(() => checkConsistency([], headOf(10), headOf(9)), ProofError);
});

test('a reader that leaves out a hash makes no proof', async () => {
  const short: HashReader = async (nodes) => (await read(nodes)).slice(1);
  await assert.rejects(treeHash(7, short), /the reader gave 2 hashes for 3 nodes/);
  await assert.rejects(proveInclusion(7, 0, short), /the reader gave/);
  await assert.rejects(proveConsistency(3, 7, short), /the reader gave/);
});

test('hashes of another length are no hashes', () => {
  const [left, right] = [leafAt(0), leafAt(1)];
  const head = { size: 2, root: nodeHash(left, right) };
  // The bytes of both sides, cut elsewhere, would hash to the same root.
  const cut = concat([left, right]);
  checkInclusion([right], head, 0, left);
  assert.throws(() => checkInclusion([cut.subarray(31)], head, 0, cut.subarray(0, 31)), /no SHA-256/);
  assert.throws(() => checkConsistency([cut.subarray(33)], { size: 1, root: cut.subarray(0, 33) }, head), /no SHA-256/);
  assert.ok(equal(nodeHash(cut.subarray(0, 31), cut.subarray(31)), head.root));
});

test('refusals say what is wrong', async () => {
  const proof = await proveInclusion(200, 3, read);
  const check = (bad: readonly Uint8Array[]) => () => checkInclusion(bad, headOf(200), 3, leafAt(3));
  assert.throws(check(proof.slice(2)), { name: 'ProofError', message: 'the proof has 2 hashes too few' });
  assert.throws(check([...proof, ...proof]), /the proof has 8 hashes too many/);
  assert.throws(check(proof.toReversed()), /leads to another root of the tree of 200: [0-9a-f]{64}, not [0-9a-f]{64}/);
  assert.throws(() => checkInclusion(proof, headOf(200), 200, leafAt(3)), /no leaf 200 in a tree of 200/);
  assert.throws(() => checkConsistency([], headOf(9), headOf(8)), /a tree of 8 can't begin with one of 9/);
});
