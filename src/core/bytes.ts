import { Buffer } from 'node:buffer';
import { MalformedError, quote } from './errors.ts';

const encoder = new TextEncoder();
// Without ignoreBOM a leading byte order mark would vanish, and two byte strings would decode to the same text.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Lower-case hex of the bytes. */
export function toHex(bytes: Uint8Array): string {
  return view(bytes).toString('hex');
}

/**
 * Bytes of an even number of lower-case hex digits.
 * @throws MalformedError for anything else, upper case included, so that a hash has one spelling
 */
export function fromHex(hex: string): Uint8Array {
  if (!/^(?:[0-9a-f]{2})*$/.test(hex)) {
    throw new MalformedError('hex', `${quote(hex)} is not an even number of lower-case hex digits`);
  }
  return plain(Buffer.from(hex, 'hex'));
}

/** Standard base64 with padding (RFC 4648 section 4). */
export function toBase64(bytes: Uint8Array): string {
  return view(bytes).toString('base64');
}

/**
 * Bytes of standard, padded base64 (RFC 4648 section 4).
 * @throws MalformedError for any other alphabet, missing padding, white space or set bits behind the end
 */
export function fromBase64(base64: string): Uint8Array {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.toString('base64') !== base64) {
    throw new MalformedError('base64', `${quote(base64)} is not canonical standard base64`);
  }
  return plain(bytes);
}

/**
 * UTF-8 of the text.
 * @throws MalformedError for a lone surrogate, which has no UTF-8 form
 */
export function utf8(text: string): Uint8Array {
  if (!text.isWellFormed()) {
    throw new MalformedError('text', `${quote(text)} holds half of a surrogate pair`);
  }
  return encoder.encode(text);
}

/**
 * The text whose UTF-8 form is exactly these bytes; a byte order mark is kept as U+FEFF.
 * @param format what the bytes should be, for the error
 * @throws MalformedError if the bytes are not UTF-8
 */
export function text(bytes: Uint8Array, format = 'text'): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new MalformedError(format, 'it is not valid UTF-8', { cause });
  }
}

/** One new array that holds the parts in order. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Whether both hold the same bytes. Not constant-time: never for secrets. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return compare(a, b) === 0;
}

/** Order of byte strings as unsigned numbers from the left, a prefix first: negative, 0 or positive. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Callers get plain arrays: a Buffer's slice, toString and equality differ from those of a Uint8Array. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
