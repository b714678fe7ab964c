import { Buffer } from 'node:buffer';
import fc, { type Arbitrary } from 'fast-check';

/** Something that reads what strangers write. */
export interface Target {
  /** As people call it; the command line's argument. */
  readonly name: string;
  /** Inputs that are accepted. */
  readonly valid: Arbitrary<Uint8Array>;
  /**
   * Reads one input, and asserts what must hold of whatever it got. An error that is no FederationError is a bug: such an
   * input would be answered as a fault of ours, or end the process.
   */
  readonly read: (bytes: Uint8Array) => void;
  /** Inputs that are wrong in ways that wounds rarely make. */
  readonly odd?: Arbitrary<Uint8Array>;
  /** Pieces that have a meaning in this format, besides those of {@link TOKENS}. */
  readonly tokens?: readonly string[];
  /** What a server lets through to this reader; time is compared up to here. */
  readonly bytesMax?: number;
}

/** An input that has a piece many times over. */
export interface Pump {
  readonly before: Uint8Array;
  readonly piece: Uint8Array;
  readonly after: Uint8Array;
}

/** Pieces that formats break at, in one format or another. */
const TOKENS = [
  ...[
    '\0',
    '\n',
    '\n\n',
    '\r',
    '\r\n',
    ' ',
    '\t',
    '"',
    "'",
    '\\',
    '\\"',
    '\\u0000',
    '\\ud800',
    '`',
    '\u2028',
    '\u202e',
  ],
  ...[
    '/',
    '//',
    '..',
    '../',
    '%2f',
    '%2e%2e',
    '%00',
    '%',
    '%ff',
    '#',
    '?',
    '&',
    '=',
    ';',
    ':',
    '::',
    ',',
    '.',
    '@',
    '|',
  ],
  ...['{', '}', '[', ']', '(', ')', '<', '>', '{}', '[]', '""', '*', '+', '-', '_', '~', '!', '$', '^', '—', 'é', '😀'],
  ...['0', '00', '1', '-1', '9007199254740993', '1e999', '1.', '0x1', 'NaN', 'null', 'true', '\ufeff', '\x80', '\xff'],
  ...['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', '{"__proto__":{"polluted":1}}'],
].map((text) => Buffer.from(text));

/** What regular expressions and loops go over again and again, if anything. */
const RUNS = [...' \t\n"\'\\/-.,:;@a0_([{)]}=*#%+&|<>'].map((character) => Buffer.from(character));

const EDITS = ['replace', 'insert', 'remove', 'repeat', 'copy', 'cut'] as const;
interface Edit {
  readonly how: (typeof EDITS)[number];
  /** Places in the input, as fractions of its length; small counts of bytes. */
  readonly at: number;
  readonly from: number;
  readonly length: number;
  readonly piece: Uint8Array;
}

/** What a stranger may send: a valid input with a few wounds, pieces of the format in any order, or any bytes. */
export function hostileTo({ valid, odd = valid, tokens = [] }: Target): Arbitrary<Uint8Array> {
  const piece = pieceOf(tokens);
  const wounded = fc.tuple(valid, fc.array(editWith(piece), { minLength: 1, maxLength: 5 })).map(wound);
  const soup = fc.array(piece, { maxLength: 30 }).map((pieces) => Buffer.concat(pieces));
  return fc.oneof(
    { weight: 8, arbitrary: wounded },
    { weight: 3, arbitrary: odd },
    { weight: 1, arbitrary: soup },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
  );
}

/** Inputs to be pumped up: a valid one, opened somewhere, with a short piece to go in there. */
export function pumpFor({ valid, tokens = [] }: Target): Arbitrary<Pump> {
  const own = fc.tuple(fraction, fc.integer({ min: 1, max: 120 }));
  const pieces = fc.array(pieceOf(tokens), { minLength: 1, maxLength: 3 }).map((some) => Buffer.concat(some));
  const run = fc.constantFrom<Uint8Array>(...RUNS);
  const piece = fc.oneof({ weight: 3, arbitrary: run }, pieces, own, fc.constant('line' as const));
  return fc.tuple(valid, fraction, piece, fc.nat(3)).map(([bytes, at, what, open]) => {
    const place = placeIn(bytes, at);
    if (what === 'line') return pumpLine(bytes, place);
    const repeated = Array.isArray(what) ? sliceAt(bytes, ...what) : what;
    const after = open > 0 ? bytes.subarray(place) : new Uint8Array(0);
    return { before: bytes.subarray(0, place), piece: repeated.length > 0 ? repeated : Buffer.of(0x20), after };
  });
}

/** The pumped input, of about this size. */
export function pumped({ before, piece, after }: Pump, bytes: number): Uint8Array {
  const count = Math.max(1, Math.floor((bytes - before.length - after.length) / piece.length));
  return Buffer.concat([before, Buffer.alloc(count * piece.length, piece), after]);
}

const fraction = fc.double({ min: 0, max: 1, noNaN: true });

function pieceOf(tokens: readonly string[]): Arbitrary<Uint8Array> {
  const known = [...TOKENS, ...tokens.map((token) => Buffer.from(token))];
  return fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom<Uint8Array>(...known) },
    { weight: tokens.length > 0 ? 4 : 1, arbitrary: fc.constantFrom<Uint8Array>(...known.slice(-tokens.length)) },
    fc.uint8Array({ minLength: 1, maxLength: 4 }),
  );
}

function editWith(piece: Arbitrary<Uint8Array>): Arbitrary<Edit> {
  const length = fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 200 }));
  return fc.record({ how: fc.constantFrom(...EDITS), at: fraction, from: fraction, length, piece });
}

function wound([bytes, edits]: [Uint8Array, readonly Edit[]]): Uint8Array {
  return edits.reduce(edited, bytes);
}

function edited(bytes: Uint8Array, { how, at, from, length, piece }: Edit): Uint8Array {
  const place = placeIn(bytes, at);
  const [before, after] = [bytes.subarray(0, place), bytes.subarray(place)];
  switch (how) {
    case 'replace':
      return Buffer.concat([before, piece, after.subarray(piece.length)]);
    case 'insert':
      return Buffer.concat([before, piece, after]);
    case 'remove':
      return Buffer.concat([before, after.subarray(length)]);
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, length), after]);
    case 'copy':
      return Buffer.concat([before, sliceAt(bytes, from, length), after]);
    case 'cut':
      return before;
  }
}

/** Many times the line that holds the byte at `place`. */
function pumpLine(bytes: Uint8Array, place: number): Pump {
  const start = bytes.lastIndexOf(0x0a, Math.max(place - 1, 0)) + 1;
  const feed = bytes.indexOf(0x0a, start);
  const piece = feed < 0 ? Buffer.concat([bytes.subarray(start), Buffer.of(0x0a)]) : bytes.subarray(start, feed + 1);
  return { before: bytes.subarray(0, start), piece, after: bytes.subarray(start) };
}

function placeIn(bytes: Uint8Array, at: number): number {
  return Math.floor(at * (bytes.length + 1)) - (at === 1 ? 1 : 0);
}

function sliceAt(bytes: Uint8Array, at: number, length: number): Uint8Array {
  const place = placeIn(bytes, at);
  return bytes.subarray(place, place + length);
}
