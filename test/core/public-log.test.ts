import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ProofError } from '../../src/core/errors.ts';
import { checkConsistency, checkInclusion, type TreeHead } from '../../src/core/merkle.ts';

type ShownHead = { size: number; root: string };

// What a public log of nearly 2^30 entries answered, which nobody here had a hand in.
const { head, inclusion, consistency } = JSON.parse(
  readFileSync(new URL('../vectors/argon2020.json', import.meta.url), 'utf8'),
) as {
  head: ShownHead;
  inclusion: { index: number; leafHash: string; proof: string[] };
  consistency: { old: ShownHead; proof: string[] };
};

const bytes = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, 'base64'));
const headOf = ({ size, root }: ShownHead): TreeHead => ({ size, root: bytes(root) });
const proofOf = ({ proof }: { proof: string[] }): Uint8Array[] => proof.map(bytes);
const leaf = bytes(inclusion.leafHash);

/** The proof with its hash at `at` replaced by the next one. */
const wrongAt = (proof: Uint8Array[], at: number): Uint8Array[] =>
  proof.with(at, proof[(at + 1) % proof.length] as Uint8Array);

test('an entry of a public log is in it, at its index and nowhere else', () => {
  const proof = proofOf(inclusion);
  checkInclusion(proof, headOf(head), inclusion.index, leaf);
  for (const index of [inclusion.index - 1, inclusion.index + 1, head.size - 1]) {
    assert.throws(() => checkInclusion(proof, headOf(head), index, leaf), ProofError);
  }
  for (const at of proof.keys()) {
    assert.throws(() => checkInclusion(wrongAt(proof, at), headOf(head), inclusion.index, leaf), ProofError);
  }
});

test('a public log extends what it was', () => {
  const proof = proofOf(consistency);
  const old = headOf(consistency.old);
  checkConsistency(proof, old, headOf(head));
  assert.throws(() => checkConsistency(proof, { ...old, size: old.size + 1 }, headOf(head)), ProofError);
  for (const at of proof.keys()) {
    assert.throws(() => checkConsistency(wrongAt(proof, at), old, headOf(head)), ProofError);
  }
});
