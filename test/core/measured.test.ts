import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex, utf8 } from '../../src/core/bytes.ts';
import { ChunkChecker, ChunkHasher, chunkRoot } from '../../src/core/chunks.ts';
import { IntegrityError, MalformedError } from '../../src/core/errors.ts';
import { sha256Hex, sha512Hex } from '../../src/core/hash.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { formatMeasured, type Measured, openChunkList, parseMeasured } from '../../src/core/measured.ts';

const tarball = Uint8Array.from({ length: 3 * CHUNK_BYTES + 500 }, (_, at) => at % 251);
const sha512 = sha512Hex(tarball);
const list = new ChunkHasher().update(tarball).digest();
const measured: Measured = {
  pinned: { algorithm: 'sha512', hex: sha512 },
  sha512,
  size: tarball.length,
  chunks: toHex(chunkRoot(list)),
  list: sha256Hex(list),
};
const facts = openChunkList(measured, list);

test('what is measured survives being said, with members of a later version', () => {
  assert.deepEqual(parseMeasured(formatMeasured(measured), sha512), measured);
  const later = { ...JSON.parse(new TextDecoder().decode(formatMeasured(measured))), proof: [1] };
  assert.deepEqual(parseMeasured(utf8(JSON.stringify(later)), sha512), measured);
});

test('nothing else is taken for it', () => {
  const said = JSON.parse(new TextDecoder().decode(formatMeasured(measured))) as Record<string, unknown>;
  const wrong = [
    { size: -1 },
    { size: '5' },
    { size: 1.5 },
    { chunks: 'x' },
    { list: null },
    { pinned: 'md5:0' },
    { pinned: { toString: 1 } },
  ];
  for (const change of wrong) {
    assert.throws(() => parseMeasured(utf8(JSON.stringify({ ...said, ...change })), sha512), MalformedError);
  }
  assert.throws(() => parseMeasured(formatMeasured(measured), '0'.repeat(128)), /another tarball/);
  for (const text of ['', 'null', '[', '7', '<html>'])
    assert.throws(() => parseMeasured(utf8(text), sha512), MalformedError);
});

test('a chunk list is taken only with the measured root and length', () => {
  assert.throws(() => openChunkList(measured, list.subarray(32)), /length/);
  const other = Uint8Array.from(list);
  other[40] = (other[40] as number) ^ 1;
  assert.throws(() => openChunkList(measured, other), /root/);
});

function portions(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const ends = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
  return ends.slice(1).map((end, index) => bytes.subarray(ends[index], end));
}

function passed(bytes: Uint8Array, at: number, cuts: readonly number[] = []): Uint8Array {
  const checker = new ChunkChecker(facts, at, 'a source');
  const parts: Uint8Array[] = [];
  try {
    for (const portion of portions(bytes, cuts)) for (const chunk of checker.push(portion)) parts.push(chunk);
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error;
  }
  return Buffer.concat(parts);
}

test('chunks pass in whatever portions they come, from any chunk on', () => {
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: tarball.length }), { maxLength: 8 });
  fc.assert(
    fc.property(cuts, fc.integer({ min: 0, max: 3 }), (cuts, chunk) => {
      const rest = tarball.subarray(chunk * CHUNK_BYTES);
      assert.equal(sha512Hex(passed(rest, chunk * CHUNK_BYTES, cuts)), sha512Hex(rest));
    }),
    { numRuns: 50 },
  );
});

test('no byte of a wrong chunk passes, nor anything behind it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: tarball.length - 1 }), (wrong) => {
      const bytes = Uint8Array.from(tarball);
      bytes[wrong] = (bytes[wrong] as number) ^ 1;
      assert.equal(passed(bytes, 0).length, wrong - (wrong % CHUNK_BYTES));
    }),
    { numRuns: 50 },
  );
});

test('bytes behind the end are an error that says where', () => {
  const checker = new ChunkChecker(facts, 0, 'http://peer.example');
  const longer = Buffer.concat([tarball, Buffer.from('x')]);
  const expected = `${tarball.length} bytes`;
  const source = `http://peer.example, from byte ${tarball.length}`;
  assert.throws(() => [...checker.push(longer)], { name: 'IntegrityError', expected, actual: 'more', source });
});
