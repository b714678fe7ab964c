import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import { sha256 } from '../../src/core/hash.ts';
import { leafHash, nodeHash, rootHash } from '../../src/core/merkle.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/rfc6962-roots.json', import.meta.url), 'utf8'));

test('roots over the reference leaves are those of Certificate Transparency', () => {
  const hashes = vectors.leaves.map((leaf: string) => leafHash(fromHex(leaf)));
  for (const [size, root] of vectors.roots.entries()) assert.equal(toHex(rootHash(hashes.slice(0, size))), root);
});

/** RFC 6962 section 2.1 word for word: split at the largest power of two smaller than the size. */
function treeHash(data: readonly Uint8Array[]): Uint8Array {
  if (data.length === 0) return sha256(new Uint8Array(0));
  if (data.length === 1) return leafHash(data[0] as Uint8Array);
  let split = 1;
  while (split * 2 < data.length) split *= 2;
  return nodeHash(treeHash(data.slice(0, split)), treeHash(data.slice(split)));
}

test('roots of all sizes to 256 are as the definition has them', () => {
  const data = Array.from({ length: 256 }, (_, at) => Uint8Array.of(at, at >> 4));
  for (let size = 0; size <= data.length; size++) {
    const some = data.slice(0, size);
    assert.equal(toHex(rootHash(some.map(leafHash))), toHex(treeHash(some)), `size ${size}`);
  }
});

test('a leaf that looks like a node has another hash', () => {
  const [left, right] = [leafHash(Uint8Array.of(1)), leafHash(Uint8Array.of(2))];
  const disguised = Uint8Array.from([...left, ...right]);
  assert.notEqual(toHex(leafHash(disguised)), toHex(nodeHash(left, right)));
});

test('the list that is given stays as it was', () => {
  const hashes = [1, 2, 3].map((byte) => leafHash(Uint8Array.of(byte)));
  const before = hashes.map(toHex);
  rootHash(hashes);
  assert.deepEqual(hashes.map(toHex), before);
});
