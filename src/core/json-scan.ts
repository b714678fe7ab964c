/**
 * A strict scanner of JSON text (RFC 8259) as bytes. It finds where values start and end without building them, so that
 * a large document can be cut into byte slices, a bounded piece of work at a time.
 *
 * Stricter than `JSON.parse`: levels are bounded; bytes must be UTF-8 (`scanUtf8` says so) without a byte order mark; no
 * number is longer than `TOKEN_BYTES_MAX`. In an object that an `ObjectCursor` reads, no name and no white space between
 * tokens is longer than that either, and no name is there twice, since two readers of such an object may see two things.
 */

import { Buffer, isUtf8 } from 'node:buffer';
import { concat } from './bytes.ts';
import * as token from './json-tokens.ts';
import { JSON_DEPTH_MAX } from './limits.ts';

/** How much is scanned between two chances to give way: about a millisecond's work. */
export const STEP_BYTES = 256 * 1024;

/** What a scan expects next. The text states come last: they have read an opening quote and no closing one yet. */
const VALUE = 0;
const VALUE_OR_END = 1;
const NAME = 2;
const NAME_OR_END = 3;
const NAME_END = 4;
const COMMA_OR_END = 5;
const NOTHING = 6;
const NAME_TEXT = 7;
const VALUE_TEXT = 8;

const MAY_END: ReadonlySet<number> = new Set([VALUE_OR_END, NAME_OR_END, COMMA_OR_END]);
/** What a scan expects, in words, by number. */
const WANTED = ['a value', 'a value or ]', 'a member name', 'a member name or }', 'a colon', 'a comma or an end'];

const COLON_BYTES = Uint8Array.of(token.COLON);

/** A member's name, and the offsets of its name (quotes included) and value: first byte, and the byte after the last. */
export type MemberName = {
  readonly key: string;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly valueStart: number;
};

export type Member = MemberName & { readonly valueEnd: number };

/** Scans one value from its first byte to its end, in steps of bounded work. */
export class ValueScan {
  /** Offset of the next byte to read; after the last step, the offset after the value. */
  at: number;
  readonly #bytes: Uint8Array;
  readonly #depthMax: number;
  /** First bytes of the arrays and objects that are open. */
  readonly #open: number[] = [];
  #expects = VALUE;

  /** @param depthMax levels of arrays and objects that the value may have */
  constructor(bytes: Uint8Array, at: number, depthMax: number = JSON_DEPTH_MAX) {
    this.#bytes = bytes;
    this.at = at;
    this.#depthMax = depthMax;
  }

  /**
   * Reads on for about `count` bytes; true once the value is complete.
   * @throws MalformedError at the first byte that is not JSON, or too deep
   */
  step(count: number = STEP_BYTES): boolean {
    this.#readTokens(Math.min(this.at + count, this.#bytes.length));
    if (this.#expects !== NOTHING && this.at >= this.#bytes.length) throw token.endsEarly(this.#bytes);
    return this.#expects === NOTHING;
  }

  /**
   * One token per turn. Long for a function here, because a call and two fields written per token would cost a third of
   * the speed.
   */
  #readTokens(until: number): void {
    const bytes = this.#bytes;
    let at = this.at;
    let expects = this.#expects;
    while (at < until && expects !== NOTHING) {
      if (expects >= NAME_TEXT) {
        at = token.textEnd(bytes, at, until);
        if (at >= until) break;
        at += 1;
        expects = expects === NAME_TEXT ? NAME_END : this.#afterValue();
        continue;
      }
      const byte = bytes[at] as number;
      if (token.isSpace(byte)) at += 1;
      else if (byte === token.QUOTE && expects <= NAME_OR_END) {
        expects = expects <= VALUE_OR_END ? VALUE_TEXT : NAME_TEXT;
        at += 1;
      } else if (byte === token.COLON && expects === NAME_END) {
        expects = VALUE;
        at += 1;
      } else if (byte === token.COMMA && expects === COMMA_OR_END) {
        expects = this.#inObject() ? NAME : VALUE;
        at += 1;
      } else if (expects > VALUE_OR_END || byte === token.ARRAY_END) {
        expects = this.#leave(byte, at, expects);
        at += 1;
      } else if (byte === token.OBJECT_START || byte === token.ARRAY_START) {
        expects = this.#enter(byte, at);
        at += 1;
      } else {
        at = token.scalarEnd(bytes, at);
        expects = this.#afterValue();
      }
    }
    this.at = at;
    this.#expects = expects;
  }

  /** Opens an array or object; returns what is expected next, as do the following. */
  #enter(byte: number, at: number): number {
    if (this.#open.length >= this.#depthMax) throw token.malformed(at, 'it is nested too deeply');
    this.#open.push(byte);
    return byte === token.OBJECT_START ? NAME_OR_END : VALUE_OR_END;
  }

  #leave(byte: number, at: number, expects: number): number {
    const end = this.#inObject() ? token.OBJECT_END : token.ARRAY_END;
    if (byte !== end || !MAY_END.has(expects)) throw token.unexpected(this.#bytes, at, WANTED[expects] ?? 'an end');
    this.#open.pop();
    return this.#afterValue();
  }

  #inObject(): boolean {
    return this.#open[this.#open.length - 1] === token.OBJECT_START;
  }

  #afterValue(): number {
    return this.#open.length === 0 ? NOTHING : COMMA_OR_END;
  }
}

/** The offset after the value that starts at `at`, in one go: for text of bounded size. */
export function skipValue(bytes: Uint8Array, at: number, depthMax: number = JSON_DEPTH_MAX): number {
  const scan = new ValueScan(bytes, at, depthMax);
  scan.step(Number.POSITIVE_INFINITY);
  return scan.at;
}

/** The offset after the value that starts at `at`; gives way after each `STEP_BYTES`. */
export function* scanValue(bytes: Uint8Array, at: number, depthMax?: number): Generator<void, number> {
  const scan = new ValueScan(bytes, at, depthMax);
  while (!scan.step()) yield;
  return scan.at;
}

/**
 * Reads one object's members in order. The caller decides how to pass each value: `at` must stand after it before the
 * next call of `next`.
 */
export class ObjectCursor {
  at: number;
  readonly #bytes: Uint8Array;
  readonly #names = new Set<string>();

  /**
   * @param at offset of the object's opening brace; white space may come first
   * @throws MalformedError if there is no object
   */
  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = token.take(bytes, at, token.OBJECT_START, 'an object');
  }

  /**
   * Moves to the next member's value; null after the last one, with `at` after the object.
   * @throws MalformedError for a name that the object has twice
   */
  next(): MemberName | null {
    const at = token.skipSpace(this.#bytes, this.at);
    if (this.#bytes[at] === token.OBJECT_END) {
      this.at = at + 1;
      return null;
    }
    const isFirst = this.#names.size === 0;
    return this.#readName(isFirst ? at : token.take(this.#bytes, at, token.COMMA, 'a comma or }'));
  }

  #readName(at: number): MemberName {
    const keyStart = token.skipSpace(this.#bytes, at);
    const keyEnd = token.stringEnd(this.#bytes, keyStart);
    const key = readString(this.#bytes, keyStart, keyEnd);
    if (this.#names.has(key)) throw token.malformed(keyStart, 'this member is there twice');
    this.#names.add(key);
    this.at = token.skipSpace(this.#bytes, token.take(this.#bytes, keyEnd, token.COLON, 'a colon'));
    return { key, keyStart, keyEnd, valueStart: this.at };
  }
}

/**
 * All members of the object that starts at `at`, by name, in one go; `end` is the offset after the object.
 * @throws MalformedError if it is no object, has a member twice, too many members or too many levels
 */
export function readMembers(
  bytes: Uint8Array,
  at: number,
  depthMax: number = JSON_DEPTH_MAX,
  countMax: number = Number.POSITIVE_INFINITY,
): { members: Map<string, Member>; end: number } {
  const cursor = new ObjectCursor(bytes, at);
  const members = new Map<string, Member>();
  for (let member = cursor.next(); member !== null; member = cursor.next()) {
    if (members.size >= countMax) throw token.malformed(member.keyStart, `more than ${countMax} members`);
    cursor.at = skipValue(bytes, member.valueStart, depthMax - 1);
    members.set(member.key, { ...member, valueEnd: cursor.at });
  }
  return { members, end: cursor.at };
}

/** `"key":value` as it stands in `bytes`, less any white space around the colon. */
export function memberBytes(bytes: Uint8Array, member: Member): Uint8Array {
  if (member.keyEnd + 1 === member.valueStart) return bytes.subarray(member.keyStart, member.valueEnd);
  const key = bytes.subarray(member.keyStart, member.keyEnd);
  return concat([key, COLON_BYTES, bytes.subarray(member.valueStart, member.valueEnd)]);
}

/** @throws MalformedError if anything but white space follows */
export function expectEnd(bytes: Uint8Array, at: number): void {
  const end = token.skipSpace(bytes, at);
  if (end < bytes.length) throw token.malformed(end, 'more text follows after its end');
}

/**
 * Checks that the bytes are UTF-8; gives way after each `STEP_BYTES`.
 * @throws MalformedError if they are not
 */
export function* scanUtf8(bytes: Uint8Array): Generator<void, void> {
  for (let start = 0; start < bytes.length; yield) {
    const end = characterStart(bytes, start + STEP_BYTES);
    if (!isUtf8(bytes.subarray(start, end))) throw token.malformed(start, 'it is not valid UTF-8 from here on');
    start = end;
  }
}

/**
 * The string whose quotes lie at `start` and just before `end`, as found by a scan.
 * @throws MalformedError if it has more than `TOKEN_BYTES_MAX` bytes
 */
export function readString(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > token.TOKEN_BYTES_MAX) throw token.malformed(start, 'a string is too long to be read');
  const inner = Buffer.from(bytes.buffer, bytes.byteOffset + start + 1, end - start - 2).toString('utf8');
  return inner.includes('\\') ? JSON.parse(`"${inner}"`) : inner;
}

/** Whether the value that starts here is a string. */
export function isString(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === token.QUOTE;
}

/** Whether the value that starts here is an object. */
export function isObject(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === token.OBJECT_START;
}

/** The last offset up to `at` that is not inside of a character's bytes, as far as that can be told. */
function characterStart(bytes: Uint8Array, at: number): number {
  if (at >= bytes.length) return bytes.length;
  let start = at;
  while (at - start < 3 && ((bytes[start] as number) & 0xc0) === 0x80) start -= 1;
  return start;
}
