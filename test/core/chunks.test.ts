import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import { ChunkHasher, chunkCount, chunkRoot } from '../../src/core/chunks.ts';
import { parseEntry } from '../../src/core/entry.ts';
import { sha256, sha256Hex, sha512Hex } from '../../src/core/hash.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import { leafHash, rootHash } from '../../src/core/merkle.ts';
import { protocolExample, protocolExamples } from '../support/protocol-examples.ts';

const tarball = Uint8Array.from({ length: 150_000 }, (_, at) => at % 251);

test('the tarball of docs/protocol.md has the chunk list, root and entry that stand there', () => {
  const example = protocolExample('chunk-list');
  const list = new ChunkHasher().update(tarball).digest();
  assert.equal(toHex(list), example.text.replaceAll('\n', ''));
  assert.deepEqual([sha256Hex(list), toHex(chunkRoot(list))], example.hashes);
  const [measured] = protocolExamples('entry').filter((one) => one.text.startsWith('measured/1'));
  const entry = parseEntry(new TextEncoder().encode(measured?.text));
  assert.ok(entry.kind === 'measured');
  assert.deepEqual([entry.sha512, entry.size], [sha512Hex(tarball), tarball.length]);
  assert.deepEqual([entry.list, entry.chunks], example.hashes);
});

test('portions do not matter, and chunks are cut at 64 KiB', () => {
  const ends = fc.uniqueArray(fc.integer({ min: 0, max: tarball.length }), { maxLength: 8 });
  const sizes = fc.oneof(fc.nat(tarball.length), fc.constantFrom(0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1));
  fc.assert(
    fc.property(sizes, ends, (size, cuts) => {
      const whole = tarball.subarray(0, size);
      const hasher = new ChunkHasher();
      const at = [0, ...cuts.filter((cut) => cut < size).sort((a, b) => a - b), size];
      for (let i = 1; i < at.length; i++) hasher.update(whole.subarray(at[i - 1], at[i]));
      const chunks = Array.from({ length: chunkCount(size) }, (_, i) =>
        whole.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES),
      );
      const list = hasher.digest();
      assert.equal(toHex(list), chunks.map(sha256Hex).join(''));
      assert.equal(toHex(chunkRoot(list)), toHex(rootHash(chunks.map((chunk) => leafHash(sha256(chunk))))));
    }),
    { numRuns: 50 },
  );
});

test('half a hash is no chunk list', () => {
  assert.throws(() => chunkRoot(fromHex('00'.repeat(33))), { name: 'MalformedError', format: 'chunk list' });
});
