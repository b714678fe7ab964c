/**
 * Values in the formats that are made of lines. Each value has exactly one spelling: what is hashed or signed must not
 * come in two forms.
 */

import { fromBase64, text } from './bytes.ts';
import { MalformedError, quote } from './errors.ts';
import { formatPinned, type PinnedHash, parsePinned } from './integrity.ts';
import {
  FILE_LENGTH_MAX,
  HOST_URL_LENGTH_MAX,
  NAME_LENGTH_MAX,
  REASON_LENGTH_MAX,
  VERSION_LENGTH_MAX,
} from './limits.ts';

/** How one kind of value is spelled. */
export type Field<T> = {
  /** What the text must be, for errors: "64 lower-case hex digits". */
  readonly expected: string;
  /** The value; undefined (or a MalformedError) if the text is not the one spelling of a value. */
  readonly read: (text: string) => T | undefined;
  readonly show: (value: T) => string;
};

/** The fields of a record; the order of the keys is the order of the lines. */
export type Fields<T> = { readonly [K in keyof T]: Field<T[K]> };

/** A value that is its own text. */
export function textField<T extends string>(expected: string, accepts: (text: string) => boolean): Field<T> {
  return { expected, read: (text) => (accepts(text) ? (text as T) : undefined), show: (value) => value };
}

/** One of a few words. */
export function oneOf<const T extends string>(...words: readonly T[]): Field<T> {
  return textField(words.join(' or '), (text) => words.includes(text as T));
}

/** The value, or `-` for null. */
export function orDash<T>(field: Field<T>): Field<T | null> {
  return {
    expected: `${field.expected}, or -`,
    read: (text) => (text === '-' ? null : field.read(text)),
    show: (value) => (value === null ? '-' : field.show(value)),
  };
}

/** A canonical decimal number: no sign, no leading zeros, at most 2^53-1. */
export const number: Field<number> = {
  expected: 'a decimal number without leading zeros, at most 9007199254740991',
  read: (text) => (/^(?:0|[1-9][0-9]{0,15})$/.test(text) && Number.isSafeInteger(+text) ? +text : undefined),
  show: String,
};

export const sha256Field: Field<string> = textField('64 lower-case hex digits', (text) => /^[0-9a-f]{64}$/.test(text));

export const sha512Field: Field<string> = textField('128 lower-case hex digits', (text) =>
  /^[0-9a-f]{128}$/.test(text),
);

export const pinnedField: Field<PinnedHash> = {
  expected: 'sha512:<128 lower-case hex digits> or sha1:<40 lower-case hex digits>',
  read: parsePinned,
  show: formatPinned,
};

/** Text of 1 to `lengthMax` visible ASCII characters, so without white space. */
export function visibleAscii(lengthMax: number): Field<string> {
  const accepts = (text: string) => text.length <= lengthMax && /^[!-~]+$/.test(text);
  return textField(`1 to ${lengthMax} visible ASCII characters`, accepts);
}

// What npm accepts as a name or a version has changed over the years, and old entries must stay readable. So the formats
// only bound the characters; whether npm would take a name or a version is decided before an entry is made.
export const nameField = visibleAscii(NAME_LENGTH_MAX);

/** `*` alone is no version: in a `withdraw` entry it stands for all of them. */
export const versionField: Field<string> = textField(
  `1 to ${VERSION_LENGTH_MAX} visible ASCII characters, not *`,
  (text) => text !== '*' && visibleAscii(VERSION_LENGTH_MAX).read(text) !== undefined,
);

export const fileField: Field<string> = textField(
  `a file name of at most ${FILE_LENGTH_MAX} letters, digits and ._~!'()*+- that ends in .tgz or .tar.gz`,
  (text) => text.length <= FILE_LENGTH_MAX && /^[A-Za-z0-9._~!'()*+-]+\.(?:tgz|tar\.gz)$/.test(text),
);

/** Scheme, host and port as the URL Standard serialises an origin: no path, no default port, lower case. */
export const serverUrlField: Field<string> = textField(
  'http:// or https://, a host and perhaps a port, without a trailing slash',
  (text) => text.length <= HOST_URL_LENGTH_MAX && /^https?:/.test(text) && URL.parse(text)?.origin === text,
);

export const base64Field: Field<string> = textField('canonical standard base64', (text) => fromBase64(text).length > 0);

// Control characters, line and paragraph separators, and the characters that reorder what a person reads.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

/** One line for people to read. Length in code points. */
export const reasonField: Field<string> = textField(
  `1 to ${REASON_LENGTH_MAX} characters without control characters`,
  (text) => text !== '' && [...text].length <= REASON_LENGTH_MAX && text.isWellFormed() && !UNPRINTABLE.test(text),
);

/** Any text as a reason that {@link reasonField} accepts: in one line, cut if too long. */
export function asReason(text: string): string {
  const line = text.toWellFormed().replaceAll(new RegExp(UNPRINTABLE, 'g'), ' ').replaceAll(/ +/g, ' ').trim();
  return [...line].slice(0, REASON_LENGTH_MAX).join('').trimEnd() || 'no reason given';
}

/**
 * Reads one value.
 * @throws MalformedError naming the format, the line and what was expected
 */
export function readValue<T>(format: string, name: string, field: Field<T>, text: string, line: number): T {
  const value = tryRead(field, text);
  if (value !== undefined) return value;
  throw new MalformedError(format, `${name} is ${quote(text)}, expected ${field.expected}`, { line });
}

/**
 * Spells one value.
 * @throws MalformedError if it has no spelling, so that nothing is written that could not be read again
 */
export function showValue<T>(format: string, name: string, field: Field<T>, value: T): string {
  const text = field.show(value);
  if (typeof text === 'string' && tryRead(field, text) !== undefined) return text;
  throw new MalformedError(format, `${name} is ${quote(String(text))}, expected ${field.expected}`);
}

function tryRead<T>(field: Field<T>, text: string): T | undefined {
  try {
    return field.read(text);
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

/**
 * The lines of a text, without their line feeds.
 * @throws MalformedError if there are too many bytes, if they are not UTF-8 or if the last line is not ended
 */
export function linesOf(format: string, bytes: Uint8Array, bytesMax: number): string[] {
  if (bytes.length > bytesMax)
    throw new MalformedError(format, `${bytes.length} bytes, at most ${bytesMax} are allowed`);
  const lines = text(bytes, format).split('\n');
  if (lines.pop() === '') return lines;
  throw new MalformedError(format, 'the last line does not end in a line feed', { line: lines.length + 1 });
}

/**
 * Reads lines `<field> <value>`: all fields, in order.
 * @param first number of `lines[0]` in its document, from 1
 * @throws MalformedError for a line that is missing, not the expected one or one too many
 */
export function readFields<T>(format: string, fields: Fields<T>, lines: readonly string[], first: number): T {
  const names = Object.keys(fields) as (keyof T & string)[];
  const value: Partial<T> = {};
  for (const [at, name] of names.entries()) {
    const line = lines[at];
    if (!line?.startsWith(`${name} `)) throw unexpected(format, `${quote(`${name} …`)}`, line, first + at);
    value[name] = readValue(format, name, fields[name], line.slice(name.length + 1), first + at);
  }
  if (lines.length > names.length) throw unexpected(format, 'the end', lines[names.length], first + names.length);
  return value as T;
}

/** Writes lines `<field> <value>` with their line feeds, in the order of `fields`. */
export function showFields<T>(format: string, fields: Fields<T>, value: T): string {
  const names = Object.keys(fields) as (keyof T & string)[];
  return names.map((name) => `${name} ${showValue(format, name, fields[name], value[name])}\n`).join('');
}

/** The error for another line than the expected one. */
export function unexpected(format: string, expected: string, found: string | undefined, line: number): MalformedError {
  const what = found === undefined ? 'the end' : quote(found);
  return new MalformedError(format, `expected ${expected}, found ${what}`, { line });
}
