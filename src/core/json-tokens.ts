/** Where the tokens of JSON text (RFC 8259) end, found in its bytes. The loops over single bytes are all in this file. */

import { Buffer } from 'node:buffer';
import { MalformedError } from './errors.ts';

/**
 * The longest token that is read in one go. Nothing in a packument comes near, and without a bound one token could take
 * longer than a step of a scan may.
 */
export const TOKEN_BYTES_MAX = 64 * 1024;

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const ARRAY_START = 0x5b;
export const ARRAY_END = 0x5d;
export const OBJECT_START = 0x7b;
export const OBJECT_END = 0x7d;

const FIRST_PRINTABLE = 0x20;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const BACKSLASH = 0x5c;
const LOWER_U = 0x75;

const SPACES = tableOf(' \t\n\r');
const DIGITS = tableOf('0123456789');
const HEX_DIGITS = tableOf('0123456789abcdefABCDEF');
const SIMPLE_ESCAPES = tableOf('"\\/bfnrt');
const SIGNS = tableOf('+-');
const EXPONENTS = tableOf('eE');
const LITERALS = new Map(['true', 'false', 'null'].map((word) => [word.charCodeAt(0), Buffer.from(word)]));

export function isSpace(byte: number): boolean {
  return SPACES[byte] === 1;
}

/** Offset of the first byte from `at` on that is not white space; the text's length if there is none. */
export function skipSpace(bytes: Uint8Array, at: number): number {
  const end = runEnd(bytes, at, SPACES);
  if (end - at > TOKEN_BYTES_MAX) throw malformed(at, `more than ${TOKEN_BYTES_MAX} bytes of white space`);
  return end;
}

/** Offset after the byte that must come next, white space aside. */
export function take(bytes: Uint8Array, at: number, wanted: number, name: string): number {
  const found = skipSpace(bytes, at);
  if (bytes[found] !== wanted) throw unexpected(bytes, found, name);
  return found + 1;
}

/**
 * Inside of a string: offset of its closing quote if that comes before `until`, else an offset of at least `until` from
 * which the string goes on.
 */
export function textEnd(bytes: Uint8Array, start: number, until: number): number {
  let at = start;
  while (at < until) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH) at = escapeEnd(bytes, at);
    else if (byte < FIRST_PRINTABLE) throw malformed(at, 'a string holds a control character that is not escaped');
    else at += 1;
  }
  return at;
}

/** Offset after the string that starts at `at` and has at most `TOKEN_BYTES_MAX` bytes. */
export function stringEnd(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== QUOTE) throw unexpected(bytes, at, 'a string');
  const until = Math.min(bytes.length, at + TOKEN_BYTES_MAX);
  const end = textEnd(bytes, at + 1, until);
  if (end < until) return end + 1;
  throw end >= bytes.length ? endsEarly(bytes) : malformed(at, `a string has more than ${TOKEN_BYTES_MAX} bytes`);
}

/** Offset after the number or literal that starts at `at`. */
export function scalarEnd(bytes: Uint8Array, at: number): number {
  const literal = LITERALS.get(bytes[at] ?? 0);
  return literal === undefined ? numberEnd(bytes, at) : literalEnd(bytes, at, literal);
}

export function unexpected(bytes: Uint8Array, at: number, wanted: string): MalformedError {
  const byte = bytes[at];
  if (byte === undefined) return endsEarly(bytes);
  const found = byte > FIRST_PRINTABLE && byte < 0x7f ? String.fromCharCode(byte) : `byte 0x${byte.toString(16)}`;
  return malformed(at, `expected ${wanted}, found ${found}`);
}

export function endsEarly(bytes: Uint8Array): MalformedError {
  return malformed(bytes.length, 'it ends too early');
}

export function malformed(offset: number, reason: string): MalformedError {
  return new MalformedError('JSON', reason, { offset });
}

function literalEnd(bytes: Uint8Array, at: number, literal: Uint8Array): number {
  const wrong = literal.findIndex((byte, index) => bytes[at + index] !== byte);
  if (wrong !== -1) throw unexpected(bytes, at + wrong, 'true, false or null');
  return at + literal.length;
}

function numberEnd(bytes: Uint8Array, at: number): number {
  const whole = bytes[at] === MINUS ? at + 1 : at;
  let end = bytes[whole] === ZERO ? whole + 1 : digitsEnd(bytes, whole, at === whole ? 'a value' : 'a digit');
  if (bytes[end] === DOT) end = digitsEnd(bytes, end + 1, 'a digit');
  if (isIn(EXPONENTS, bytes[end])) end = digitsEnd(bytes, isIn(SIGNS, bytes[end + 1]) ? end + 2 : end + 1, 'a digit');
  if (end - at > TOKEN_BYTES_MAX) throw malformed(at, `a number has more than ${TOKEN_BYTES_MAX} bytes`);
  return end;
}

function digitsEnd(bytes: Uint8Array, at: number, wanted: string): number {
  const end = runEnd(bytes, at, DIGITS);
  if (end === at) throw unexpected(bytes, at, wanted);
  return end;
}

function escapeEnd(bytes: Uint8Array, at: number): number {
  const kind = bytes[at + 1];
  if (kind !== LOWER_U) {
    if (!isIn(SIMPLE_ESCAPES, kind)) throw unexpected(bytes, at + 1, 'an escape sequence');
    return at + 2;
  }
  for (let digit = at + 2; digit < at + 6; digit += 1) {
    if (!isIn(HEX_DIGITS, bytes[digit])) throw unexpected(bytes, digit, 'a hex digit');
  }
  return at + 6;
}

/** Ends one byte behind the longest allowed run at most, so that a hostile one costs no more than an honest one. */
function runEnd(bytes: Uint8Array, start: number, table: Uint8Array): number {
  const until = Math.min(bytes.length, start + TOKEN_BYTES_MAX + 1);
  let at = start;
  while (at < until && table[bytes[at] as number] === 1) at += 1;
  return at;
}

function isIn(table: Uint8Array, byte: number | undefined): boolean {
  return byte !== undefined && table[byte] === 1;
}

function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const character of characters) table[character.charCodeAt(0)] = 1;
  return table;
}
