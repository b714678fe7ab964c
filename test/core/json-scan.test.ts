import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { MalformedError } from '../../src/core/errors.ts';
import {
  expectEnd,
  memberBytes,
  ObjectCursor,
  readMembers,
  readString,
  STEP_BYTES,
  scanUtf8,
  scanValue,
  skipValue,
  ValueScan,
} from '../../src/core/json-scan.ts';
import { TOKEN_BYTES_MAX } from '../../src/core/json-tokens.ts';
import { anyDocument, anyValue, objectText } from '../support/json-text.ts';

const bytesOf = (text: string) => Buffer.from(text);

function accepts(text: string): boolean {
  const bytes = bytesOf(text);
  try {
    expectEnd(bytes, skipValue(bytes, 0));
    return true;
  } catch (error) {
    assert.ok(error instanceof MalformedError, String(error));
    return false;
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function isMalformed(offset: number, reason: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof MalformedError, String(error));
    assert.equal(error.offset, offset, error.message);
    assert.match(error.message, reason);
    return true;
  };
}

test('accepts what JSON.parse accepts', () => {
  fc.assert(
    fc.property(anyDocument, (text) => {
      assert.ok(parses(text));
      assert.ok(accepts(text));
    }),
    { numRuns: 2_000 },
  );
});

test('agrees with JSON.parse on documents with a fault', () => {
  const fault = fc.tuple(fc.nat(), fc.nat(2), fc.constantFrom(...'{}[]",:\\0123-+.eEtfnu \n\u0001x/é'));
  const mutated = fc.tuple(anyDocument, fault).map(([text, [where, remove, insert]]) => {
    const at = where % (text.length + 1);
    return (text.slice(0, at) + insert + text.slice(at + remove)).toWellFormed();
  });
  fc.assert(
    fc.property(mutated, (text) => assert.equal(accepts(text), parses(text))),
    { numRuns: 6_000 },
  );
});

test('agrees with JSON.parse on random tokens', () => {
  const token = fc.constantFrom(...'{}[],:', '""', '"a"', '"\\', '0', '1', '-', '.5', 'e1', 'true', 'null', 'nul', ' ');
  fc.assert(
    fc.property(fc.array(token, { maxLength: 9 }), (tokens) => {
      assert.equal(accepts(tokens.join('')), parses(tokens.join('')));
    }),
    { numRuns: 6_000 },
  );
});

test('agrees with JSON.parse on the corners of the grammar', () => {
  const texts = [
    ...['', ' ', '{', '}', '[', ']', '[}', '{]', '[,]', '[1,]', '[,1]', '{,}', '{"a"}', '{"a":}', '{"a":1,}', '{1:1}'],
    ...['01', '-', '-01', '1.', '.1', '1e', '1e+', '+1', '0x1', 'NaN', 'Infinity', '1 2', '0e0', '-0', '1E+05'],
    ...[
      '"\u001f"',
      'tru',
      'trux',
      'True',
      'nullx',
      'falsee',
      '"',
      '"\\',
      '"\\x"',
      '"\\u12g4"',
      '"\\u123',
      '"\t"',
      '"\u007f"',
      "'a'",
    ],
    ...[
      '\ufeff1',
      '1\u0000',
      '\u00a01',
      '"\u2028"',
      '"\\ud800"',
      '[[[]]]',
      '[[[]]',
      '{"a":{"b":[{}]}}',
      '1,',
      ':1',
      '//',
    ],
  ];
  for (const text of texts) assert.equal(accepts(text), parses(text), JSON.stringify(text));
});

test('finds the same end however small the steps are', () => {
  fc.assert(
    fc.property(anyDocument, fc.integer({ min: 1, max: 9 }), (text, count) => {
      const bytes = bytesOf(text);
      const scan = new ValueScan(bytes, 0);
      while (!scan.step(count)) assert.ok(scan.at < bytes.length);
      assert.equal(scan.at, skipValue(bytes, 0));
    }),
  );
});

test('gives way within a long string and between many short values', () => {
  const long = bytesOf(`"${'x'.repeat(4 * STEP_BYTES)}"`);
  const many = bytesOf(`[${'1,'.repeat(2 * STEP_BYTES)}1]`);
  for (const bytes of [long, many]) {
    const steps = [...scanValue(bytes, 0)].length;
    assert.ok(steps >= 4 && steps <= 5, `${steps} steps`);
  }
});

test('refuses what is nested deeper than allowed, and nothing less deep', () => {
  const nested = bytesOf(`${'['.repeat(64)}${']'.repeat(64)}`);
  assert.equal(skipValue(nested, 0), 128);
  assert.equal(skipValue(nested, 0, 64), 128);
  assert.throws(() => skipValue(nested, 0, 63), isMalformed(63, /nested too deeply/));
  assert.throws(() => skipValue(bytesOf('['.repeat(1_000_000)), 0), isMalformed(64, /nested too deeply/));
  assert.throws(() => readMembers(bytesOf('{"a":{"b":{}}}'), 0, 2), isMalformed(10, /nested too deeply/));
});

test('says where a document is wrong and what was expected', () => {
  assert.throws(() => skipValue(bytesOf('{"a" 1}'), 0), isMalformed(5, /at byte 5: expected a colon, found 1$/));
  assert.throws(() => skipValue(bytesOf('[1 2]'), 0), isMalformed(3, /expected a comma or an end, found 2$/));
  assert.throws(() => skipValue(bytesOf('["\n"]'), 0), isMalformed(2, /control character/));
  assert.throws(() => skipValue(bytesOf('[tru]'), 0), isMalformed(4, /expected true, false or null, found \]$/));
  assert.throws(() => skipValue(bytesOf('{"a":'), 0), isMalformed(5, /ends too early/));
  assert.throws(() => expectEnd(bytesOf('{} x'), 2), isMalformed(3, /more text follows/));
  assert.throws(() => new ObjectCursor(bytesOf(' []'), 0), isMalformed(1, /expected an object, found \[$/));
});

test('reads names, values and raw members as JSON.parse sees them', () => {
  const names = fc.uniqueArray(fc.string({ maxLength: 6 }), { maxLength: 6 });
  const object = names.chain((list) => objectText(list.map((name) => [name, anyValue] as const)));
  fc.assert(
    fc.property(object, (text) => {
      const bytes = bytesOf(text);
      const { members, end } = readMembers(bytes, 0);
      assert.equal(end, bytes.length);
      const raw = [...members.values()].map((member) => Buffer.from(memberBytes(bytes, member)).toString());
      assert.deepEqual(JSON.parse(`{${raw.join(',')}}`), JSON.parse(text));
      assert.deepEqual(new Set(members.keys()), new Set(Object.keys(JSON.parse(text))));
    }),
  );
});

test('refuses a member that is there twice, whatever its spelling', () => {
  assert.throws(() => readMembers(bytesOf('{"a":1,"b":2,"a":3}'), 0), isMalformed(13, /there twice/));
  assert.throws(() => readMembers(bytesOf('{"a":1,"\\u0061":3}'), 0), isMalformed(7, /there twice/));
  assert.throws(() => readMembers(bytesOf('{"__proto__":1,"__proto__":3}'), 0), isMalformed(15, /there twice/));
});

test('reads strings with escapes and refuses overlong ones', () => {
  const text = '"a\\/b\\u00e9\\ud83d\\ude00é😀\\""';
  assert.equal(readString(bytesOf(text), 0, Buffer.byteLength(text)), JSON.parse(text));
  const long = bytesOf(`"${'x'.repeat(TOKEN_BYTES_MAX)}"`);
  assert.throws(() => readString(long, 0, long.length), isMalformed(0, /too long/));
});

test('bounds every token that can not be interrupted', () => {
  const run = TOKEN_BYTES_MAX + 1;
  assert.throws(() => skipValue(bytesOf('1'.repeat(run)), 0), isMalformed(0, /a number has more than/));
  assert.equal(skipValue(bytesOf('1'.repeat(run - 1)), 0), run - 1);
  assert.throws(() => readMembers(bytesOf(`{${' '.repeat(run)}}`), 0), isMalformed(1, /bytes of white space/));
  assert.throws(() => readMembers(bytesOf(`{"${'x'.repeat(run)}":1}`), 0), isMalformed(1, /a string has more than/));
});

test('tells UTF-8 from other bytes, also where two steps meet', () => {
  const check = (bytes: Uint8Array) => [...scanUtf8(bytes)].length;
  for (const character of ['x', 'é', '€', '😀']) {
    for (let shift = 0; shift < 4; shift += 1) {
      assert.ok(check(bytesOf('x'.repeat(shift) + character.repeat(STEP_BYTES))) > 0);
    }
  }
  const bad = Buffer.alloc(STEP_BYTES + 8, 'x').fill(0x80, STEP_BYTES - 6);
  assert.throws(() => check(bad), isMalformed(0, /not valid UTF-8/));
  assert.throws(() => check(Buffer.from([0xed, 0xa0, 0x80])), isMalformed(0, /not valid UTF-8/));
  assert.throws(() => check(Buffer.from([0x22, 0xc3])), isMalformed(0, /not valid UTF-8/));
});
