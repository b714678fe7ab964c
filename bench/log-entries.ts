/** Made-up entries in the proportions of a public registry: each follows from its place, so that any stretch can be made alone. */
import { utf8 } from '../src/core/bytes.ts';
import type { Entry } from '../src/core/entry.ts';
import { sha256Hex } from '../src/core/hash.ts';

/** Changes of the public registry in a week, at 0.35 a second. */
export const WEEK_ENTRIES = 212_000;

/** Packages that a week's changes are about. */
const NAMES = 150_000;
/** No divisor of NAMES, so that neighbours in the log are not neighbours in the tables. */
const STRIDE = 7_919;
const START_MS = 1_750_000_000_000;
const APART_MS = 2_850;
const WORDS = 'react vue core utils types cli config plugin babel loader node stream parser test api ui kit fast'.split(
  ' ',
);

/** Entry `at` of the log: of 100 there are 59 learned, 33 measured, 4 learned-version, 2 withdraw, 2 commit. */
export function madeEntry(at: number): Entry {
  const time = START_MS + at * APART_MS;
  const name = madeName((at * STRIDE) % NAMES);
  const hex = sha256Hex(utf8(`${at}`));
  const place = (at + 1) % 100;
  if (place % 50 === 0) return { kind: 'commit', time };
  if (place % 3 === 1 && place < 99) return madeMeasured(time, `${at}`);
  if (place % 25 === 3) return { kind: 'learned-version', time, name, version: `1.${place}.0`, entry: hex };
  if (place % 50 === 2)
    return { kind: 'withdraw', time, name, version: `1.${place}.0`, deadline: 600, reason: 'unpublished' };
  return { kind: 'learned', time, name, head: hex };
}

/** What a tarball was seen to be; its hashes follow from `seed`. */
export function madeMeasured(time: number, seed: string): Extract<Entry, { kind: 'measured' }> {
  const hashOf = (part: string) => sha256Hex(utf8(`${part} ${seed}`));
  const sha512 = hashOf('first half') + hashOf('second half');
  const hashes = {
    pinned: { algorithm: 'sha512', hex: sha512 },
    sha512,
    chunks: hashOf('chunks'),
    list: hashOf('list'),
  } as const;
  return { kind: 'measured', time, ...hashes, size: Number.parseInt(sha512.slice(0, 5), 16) };
}

/** About 18 characters, a third of them in a scope. */
function madeName(at: number): string {
  const word = (step: number) => WORDS[Math.floor(at / step) % WORDS.length];
  const name = `${word(1)}-${word(WORDS.length)}-${at.toString(36)}`;
  return at % 3 === 0 ? `@${word(7)}/${name}` : name;
}
