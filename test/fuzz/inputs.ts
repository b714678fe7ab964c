import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import fc, { type Arbitrary } from 'fast-check';
import { utf8 } from '../../src/core/bytes.ts';
import { anyValue } from '../support/json-text.ts';

/** Any of these texts. */
export const anyOf = (...texts: readonly string[]): Arbitrary<Uint8Array> => fc.constantFrom(...texts.map(utf8));

/** Text as its UTF-8. */
export const asUtf8 = (texts: Arbitrary<string>): Arbitrary<Uint8Array> => texts.map((text) => Buffer.from(text));

/** JSON of the value as bytes. */
export const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value));

/** Values that code which expects a text, a number or an object is least ready for. */
const ODD_VALUES = [
  ...[
    'null',
    '[]',
    '{}',
    '""',
    '-0',
    '1e999',
    '-1',
    '0.5',
    'true',
    '[[]]',
    '{"toString":1}',
    '{"toJSON":1}',
    '"\\ud800"',
  ],
  ...['{"valueOf":null,"toString":null}', '{"__proto__":null}', '{"length":-1}', '{"then":1}', '"__proto__"'],
];
const PLACE = 'the place';

/** The JSON object with one of its members, however deep, replaced by any other value. */
export function altered(document: Uint8Array): Arbitrary<Uint8Array> {
  const templates = [...templatesOf(JSON.parse(Buffer.from(document).toString()))];
  const value = fc.oneof(fc.constantFrom(...ODD_VALUES), anyValue);
  // A function as replacement: in a text, `$&` would mean something.
  const put = ([template, text]: [string, string]) => utf8(template.replace(JSON.stringify(PLACE), () => text));
  return fc.tuple(fc.constantFrom(...templates), value).map(put);
}

/** The value as JSON, each time with another part of it left to be filled in. */
function* templatesOf(value: unknown): Generator<string, void> {
  yield JSON.stringify(PLACE);
  if (typeof value !== 'object' || value === null) return;
  for (const [key, part] of Object.entries(value)) {
    for (const inner of templatesOf(part)) {
      const whole = Array.isArray(value) ? Object.assign([...value], { [key]: PLACE }) : { ...value, [key]: PLACE };
      yield JSON.stringify(whole).replace(JSON.stringify(PLACE), () => inner);
    }
  }
}

/** What a header's or a request line's bytes are to Node.js: one character for each. */
export const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/**
 * A text as it may come out of JSON: halves of surrogate pairs included, if the bytes spell such escapes; else the bytes as
 * UTF-8, with replacement characters.
 */
export function anyText(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString();
  return text.replaceAll(/\\u([0-9a-f]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Headers as Node.js gives them, from lines `name: value`. */
export function headersIn(bytes: Uint8Array): Record<string, string> {
  const lines = latin1(bytes).split('\n');
  const pairs = lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
  return Object.fromEntries(pairs);
}

/** Lines that {@link headersIn} reads. */
export const headerLines = (headers: Readonly<Record<string, string>>): string =>
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n');

/** Reads bytes, and asserts that they are the only form of what was read. */
export function onlyForm<T>(
  parse: (bytes: Uint8Array) => T,
  format: (value: T) => Uint8Array,
): (bytes: Uint8Array) => void {
  return (bytes) => assert.deepEqual(Buffer.from(format(parse(bytes))), Buffer.from(bytes));
}

/** Reads bytes, and asserts that what is written of it stands for the same. */
export function stable<T>(
  parse: (bytes: Uint8Array) => T,
  format: (value: T) => Uint8Array,
): (bytes: Uint8Array) => void {
  return (bytes) => {
    const written = format(parse(bytes));
    assert.deepEqual(format(parse(written)), written);
  };
}
