import fc from 'fast-check';

/** That many lower-case hex digits. */
export function hex(digits: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: digits, maxLength: digits });
}

/** Any code point, control characters and all planes, but not half of a surrogate pair. */
export const codePoint = fc
  .oneof(fc.nat(0x7f), fc.nat(0xd7ff), fc.integer({ min: 0xe000, max: 0x10ffff }))
  .map((point) => String.fromCodePoint(point));

/** 1 to `lengthMax` visible ASCII characters. */
export function visible(lengthMax: number): fc.Arbitrary<string> {
  const characters = Array.from({ length: 94 }, (_, at) => String.fromCharCode(0x21 + at));
  return fc.string({ unit: fc.constantFrom(...characters), minLength: 1, maxLength: lengthMax });
}

/** Objects with all of these fields, as literals are: a null prototype would differ from what parsers make. */
export function record<T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

/** Numbers as the formats have them, small ones, round ones and the largest. */
export const count = fc.oneof(fc.nat(), fc.maxSafeNat(), fc.constantFrom(0, 1, 10, Number.MAX_SAFE_INTEGER));

export const version = visible(256).filter((text) => text !== '*');

export const pinned = fc.oneof(
  hex(128).map((digits) => ({ algorithm: 'sha512' as const, hex: digits })),
  hex(40).map((digits) => ({ algorithm: 'sha1' as const, hex: digits })),
);

/** The bytes with one byte replaced, inserted or removed somewhere; sometimes an equal copy. */
export function mutated(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  const at = fc.nat(bytes.length);
  // Line feeds, spaces and digits are where formats break.
  const byte = fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('\n\r 0123456789-:/')));
  const edit = fc.constantFrom('replace', 'insert', 'remove');
  return fc.tuple(at, byte, edit).map(([index, value, how]) => {
    const put = how === 'remove' ? [] : [value];
    return Uint8Array.from([
      ...bytes.subarray(0, index),
      ...put,
      ...bytes.subarray(how === 'insert' ? index : index + 1),
    ]);
  });
}
