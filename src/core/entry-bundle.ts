/**
 * Entry bundles: up to 256 entries of a log in one file, each behind its length in two bytes, as in C2SP tlog-tiles
 * (https://c2sp.org/tlog-tiles, "Log entries").
 */

import { concat } from './bytes.ts';
import { MalformedError } from './errors.ts';
import { ENTRY_BYTES_MAX } from './limits.ts';
import { TILE_WIDTH } from './tile.ts';

const FORMAT = 'entry bundle';
const LENGTH_BYTES = 2;

/** The most bytes that a bundle can have, decoded: 256 of the longest entries. */
export const BUNDLE_BYTES_MAX = TILE_WIDTH * (LENGTH_BYTES + ENTRY_BYTES_MAX);

/**
 * The bundle of these entries, 1 to 256.
 * @throws MalformedError if there are none or too many, or one is too long
 */
export function formatBundle(entries: readonly Uint8Array[]): Uint8Array {
  checkWidth(entries.length);
  return concat(entries.flatMap((entry) => [lengthOf(entry), entry]));
}

/**
 * The entries of a bundle: parts of these bytes, not copies.
 * @param width how many there are
 * @throws MalformedError if there are fewer or more, or the last one is cut
 */
export function parseBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  checkWidth(width);
  const entries: Uint8Array[] = [];
  let at = 0;
  while (entries.length < width) {
    const from = at + LENGTH_BYTES;
    const to = from + ((bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0));
    if (to > bytes.length) throw tooFew(entries.length, width, at);
    entries.push(bytes.subarray(from, to));
    at = to;
  }
  if (at === bytes.length) return entries;
  throw new MalformedError(FORMAT, `${bytes.length - at} bytes follow the last of its ${width} entries`, {
    offset: at,
  });
}

function lengthOf({ length }: Uint8Array): Uint8Array {
  if (length > ENTRY_BYTES_MAX) {
    throw new MalformedError(FORMAT, `an entry of ${length} bytes, at most ${ENTRY_BYTES_MAX} are allowed`);
  }
  return Uint8Array.of(Math.floor(length / 256), length % 256);
}

function tooFew(entries: number, width: number, offset: number): MalformedError {
  return new MalformedError(FORMAT, `it ends within entry ${entries} of ${width}, counted from 0`, { offset });
}

function checkWidth(width: number): void {
  if (Number.isInteger(width) && width >= 1 && width <= TILE_WIDTH) return;
  throw new MalformedError(FORMAT, `${width} entries, a bundle has 1 to ${TILE_WIDTH}`);
}
