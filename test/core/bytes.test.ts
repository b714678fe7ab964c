import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compare, concat, equal, fromBase64, fromHex, text, toBase64, toHex, utf8 } from '../../src/core/bytes.ts';
import { MalformedError } from '../../src/core/errors.ts';
import { codePoint } from '../support/arbitrary.ts';

const bytes = fc.uint8Array({ maxLength: 100 });

test('hex, base64 and UTF-8 come back as they were', () => {
  fc.assert(fc.property(bytes, (value) => assert.deepEqual(fromHex(toHex(value)), value)));
  fc.assert(fc.property(bytes, (value) => assert.deepEqual(fromBase64(toBase64(value)), value)));
  fc.assert(fc.property(fc.string({ unit: codePoint }), (value) => assert.equal(text(utf8(value)), value)));
});

test('bytes have one spelling: any text that decodes is the text that encodes', () => {
  const onlyOwnSpelling =
    (decode: (text: string) => Uint8Array, encode: (bytes: Uint8Array) => string) => (spelling: string) => {
      let decoded: Uint8Array;
      try {
        decoded = decode(spelling);
      } catch (error) {
        return assert.ok(error instanceof MalformedError);
      }
      assert.equal(encode(decoded), spelling);
    };
  const digits = fc.string({ unit: fc.constantFrom(...'09afAF+/=-_ \n'), maxLength: 8 });
  fc.assert(fc.property(digits, onlyOwnSpelling(fromHex, toHex)), { numRuns: 1_000 });
  fc.assert(fc.property(digits, onlyOwnSpelling(fromBase64, toBase64)), { numRuns: 1_000 });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 6 }), (value) => onlyOwnSpelling(() => value, toHex)(toHex(value))));
});

const refusedHex = ['A0', 'a', '0g', ' 00', '00 ', '00\n'];
for (const spelling of refusedHex) {
  test(`${JSON.stringify(spelling)} is no hex`, () => assert.throws(() => fromHex(spelling), MalformedError));
}

const refusedBase64 = ['AA', 'AA=', 'AB==', 'AA==\n', 'A A=', '_w==', 'AA==AA==', '='];
for (const spelling of refusedBase64) {
  test(`${JSON.stringify(spelling)} is no base64`, () => assert.throws(() => fromBase64(spelling), MalformedError));
}

test('a byte order mark is a character of the text, not a hint', () => {
  assert.equal(text(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)), '\ufeffa');
});

test('what is not UTF-8 is refused by the name of its format', () => {
  const overlongSlash = Uint8Array.of(0xc0, 0xaf);
  assert.throws(() => text(overlongSlash, 'head/1'), { name: 'MalformedError', format: 'head/1' });
  assert.throws(() => utf8('\ud800'), MalformedError);
});

test('order is that of unsigned bytes, a prefix first', () => {
  const ordered = [[], [0], [0, 0], [1], [127], [128], [255], [255, 0]].map((value) => Uint8Array.from(value));
  for (const [at, value] of ordered.entries()) {
    for (const [other, than] of ordered.entries()) assert.equal(Math.sign(compare(value, than)), Math.sign(at - other));
  }
  assert.ok(equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2)));
  assert.ok(!equal(Uint8Array.of(1, 2), Uint8Array.of(1)));
});

test('results are plain arrays that own what they show', () => {
  const view = Uint8Array.of(9, 1, 2, 9).subarray(1, 3);
  assert.equal(toHex(view), '0102');
  assert.equal(toBase64(view), 'AQI=');
  assert.deepEqual(concat([view, Uint8Array.of(3)]), Uint8Array.of(1, 2, 3));
  for (const made of [fromHex('00'), fromBase64('AA=='), concat([])]) assert.equal(made.constructor, Uint8Array);
});
