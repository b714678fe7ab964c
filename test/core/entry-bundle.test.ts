import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { equal, toHex, utf8 } from '../../src/core/bytes.ts';
import { formatBundle, parseBundle } from '../../src/core/entry-bundle.ts';
import { MalformedError } from '../../src/core/errors.ts';
import { mutated } from '../support/arbitrary.ts';

test('each entry stands behind its length, the higher byte first', () => {
  const entries = [utf8('a'), new Uint8Array(0), new Uint8Array(0x0102).fill(0x62)];
  const bundle = formatBundle(entries);
  assert.equal(toHex(bundle), `000161${'0000'}0102${'62'.repeat(0x0102)}`);
  assert.deepEqual(parseBundle(bundle, 3), entries);
});

test('bundles come back as they were', () => {
  const entry = fc.oneof(
    fc.uint8Array(),
    fc.integer({ min: 65_000, max: 65_535 }).map((length) => new Uint8Array(length)),
  );
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1, maxLength: 256, size: 'max' }), (entries) => {
      assert.ok(
        parseBundle(formatBundle(entries), entries.length).every((read, at) => equal(read, entries[at] ?? read)),
      );
    }),
    { numRuns: 20 },
  );
});

test('what is read as a bundle is what would be written', () => {
  const bundle = formatBundle(['first', 'second', 'third'].map(utf8));
  fc.assert(
    fc.property(mutated(bundle), fc.integer({ min: 1, max: 4 }), (bytes, width) => {
      let entries: Uint8Array[];
      try {
        entries = parseBundle(bytes, width);
      } catch (error) {
        assert.ok(error instanceof MalformedError);
        return;
      }
      assert.equal(entries.length, width);
      assert.deepEqual(formatBundle(entries), bytes);
    }),
    { numRuns: 2_000 },
  );
});

test('no part of a bundle is one of as many entries', () => {
  const bundle = formatBundle(['first', '', 'third'].map(utf8));
  for (let length = 0; length < bundle.length; length++) {
    assert.throws(() => parseBundle(bundle.subarray(0, length), 3), { format: 'entry bundle' }, `${length} bytes`);
  }
  assert.throws(() => parseBundle(bundle, 2), /7 bytes follow the last of its 2 entries/);
  assert.throws(() => parseBundle(bundle, 4), /it ends within entry 3 of 4, counted from 0/);
});

test('an entry may fill its two bytes of length, and no more', () => {
  assert.deepEqual(parseBundle(formatBundle([new Uint8Array(65_535)]), 1), [new Uint8Array(65_535)]);
  assert.throws(() => formatBundle([new Uint8Array(65_536)]), /an entry of 65536 bytes, at most 65535/);
});

test('a bundle has 1 to 256 entries', () => {
  const many = Array.from({ length: 257 }, () => new Uint8Array(0));
  assert.equal(parseBundle(formatBundle(many.slice(1)), 256).length, 256);
  assert.throws(() => formatBundle(many), /257 entries, a bundle has 1 to 256/);
  assert.throws(() => formatBundle([]), MalformedError);
  for (const width of [0, -1, 257, 1.5, Number.NaN])
    assert.throws(() => parseBundle(new Uint8Array(600), width), MalformedError);
});

test('the entries of a bundle that lies within other bytes are found', () => {
  const bundle = formatBundle([utf8('a'), utf8('bc')]);
  const around = Uint8Array.from([9, 9, 9, ...bundle, 9]);
  assert.deepEqual(parseBundle(around.subarray(3, 3 + bundle.length), 2), [utf8('a'), utf8('bc')]);
});
