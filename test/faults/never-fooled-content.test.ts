// Tiles and bundles that are well-formed, and not those of the tree whose checkpoint stands above them.
import { concat } from '../../src/core/bytes.ts';
import { formatEntry } from '../../src/core/entry.ts';
import { formatBundle } from '../../src/core/entry-bundle.ts';
import { SHA256_BYTES } from '../../src/core/hash.ts';
import { type Bundle, parseTilePath, type Tile } from '../../src/core/tile.ts';
import { type Lie, type LogReply, SignedLog } from '../support/signed-log.ts';
import { describeLiar } from '../support/withstands.ts';

type BundleLie = (entries: readonly Uint8Array[], bundle: Bundle, log: SignedLog) => Uint8Array;
type TileLie = (bytes: Uint8Array, tile: Tile, log: SignedLog) => Uint8Array;

const reply = (body: Uint8Array): LogReply => ({ status: 200, headers: {}, body });
const flipped = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, (bytes.at(at) as number) ^ 1);
const swapped = <T>(items: readonly T[], at: number): T[] => items.toSpliced(at, 2, items[at + 1] as T, items[at] as T);
const hashesOf = (bytes: Uint8Array): Uint8Array[] =>
  Array.from({ length: bytes.length / SHA256_BYTES }, (_, at) =>
    bytes.subarray(at * SHA256_BYTES, (at + 1) * SHA256_BYTES),
  );
const evil = formatEntry({ kind: 'learned', name: 'evil', head: 'e'.repeat(64), time: 1_750_000_000_000 });

const forks = new WeakMap<SignedLog, { size: number; fork: SignedLog }>();
/** Another history of the same length. */
function forkOf(log: SignedLog): SignedLog {
  const known = forks.get(log);
  if (known?.size === log.size) return known.fork;
  const fork = new SignedLog(log.keys, log.entries.toReversed());
  forks.set(log, { size: log.size, fork });
  return fork;
}

const BUNDLES: Readonly<Record<string, BundleLie>> = {
  'one with a bit flipped in its first entry': (entries) => flipped(formatBundle(entries), 2),
  'one with a bit flipped in its last entry': (entries) => flipped(formatBundle(entries), -1),
  'one with a bit flipped in a length': (entries) => flipped(formatBundle(entries), 1),
  'one with another entry in it': (entries) => formatBundle(entries.with(7, evil)),
  'one with two entries swapped': (entries) => formatBundle(swapped(entries, 7)),
  'one in the other direction': (entries) => formatBundle(entries.toReversed()),
  'one without its first entry': (entries) => formatBundle(entries.slice(1)),
  'one without its last entry': (entries) => formatBundle(entries.slice(0, -1)),
  'one that lacks an entry and has another twice': (entries) => formatBundle(entries.with(7, entries[8] as Uint8Array)),
  'one with an entry more in its midst': (entries) => formatBundle([...entries.slice(1), evil]),
  'one with two entries in one': (entries) =>
    formatBundle([concat([entries[0] as Uint8Array, entries[1] as Uint8Array]), ...entries.slice(2)]),
  'one with a part of an entry at its end': (entries) => concat([formatBundle(entries), Uint8Array.of(0, 9, 1)]),
  'empty entries': (entries) => formatBundle(entries.map(() => new Uint8Array(0))),
  'entries of the greatest length': (entries) => formatBundle(entries.map(() => new Uint8Array(65_535))),
  'the first bundle': ({ length }, _, log) => log.bundle({ index: 0, width: length }),
  'the bundle before it': ({ length }, { index }, log) => log.bundle({ index: index - 1, width: length }),
  'the bundle of another history': (_, bundle, log) => forkOf(log).bundle(bundle),
  'a tile': ({ length }, { index }, log) => log.tile({ level: 0, index, width: length }),
};

const TILES: Readonly<Record<string, TileLie>> = {
  'one with a bit flipped in its first hash': (bytes) => flipped(bytes, 0),
  'one with a bit flipped in its last hash': (bytes) => flipped(bytes, -1),
  'one with two hashes swapped': (bytes) => concat(swapped(hashesOf(bytes), 0)),
  'one of zeros': ({ length }) => new Uint8Array(length),
  'one without its last hash': (bytes) => bytes.subarray(0, -SHA256_BYTES),
  'one without its last byte': (bytes) => bytes.subarray(0, -1),
  'one with a hash more': (bytes) => concat([bytes, bytes.subarray(0, SHA256_BYTES)]),
  'one with a hash twice': (bytes) => concat([bytes.subarray(SHA256_BYTES), bytes.subarray(0, SHA256_BYTES)]),
  'the one of another level': (_, { level, width }, log) => log.tile({ level: 1 - level, index: 0, width }),
  'the one of another history': (_, tile, log) => forkOf(log).tile(tile),
};

const bundlesOf = (lies: typeof BUNDLES): [string, Lie][] =>
  Object.entries(lies).map(([what, lie]) => [
    what,
    (_, { url = '' }, log) => {
      const found = parsed(url);
      if (found?.kind !== 'entries') throw new Error(`${url} is no bundle`);
      const { index, width } = found.bundle;
      return reply(lie(log.entries.slice(index * 256, index * 256 + width), found.bundle, log));
    },
  ]);

const tilesOf = (lies: typeof TILES): [string, Lie][] =>
  Object.entries(lies).map(([what, lie]) => [
    what,
    ({ status, headers, body }, { url = '' }, log) => {
      const found = parsed(url);
      if (found?.kind !== 'hashes') throw new Error(`${url} is no tile`);
      return status === 200 ? reply(lie(body as Uint8Array, found.tile, log)) : { status, headers, body };
    },
  ]);

const parsed = (url: string) => parseTilePath((url.split('/tile/')[1] ?? '').split('/'));
/** Of a log of which one is missing, an honest source has others. */
const LEFT_OUT: [string, Lie][] = [
  ['nothing, as if it were not there', () => ({ ...reply(new Uint8Array(0)), status: 404 })],
];

describeLiar('origin', 'a full bundle', /^tile\/entries\/[x\d/]+$/, [...bundlesOf(BUNDLES), ...LEFT_OUT]);
describeLiar('peer 1', 'the last bundle', /^tile\/entries\/.*\.p\//, bundlesOf(BUNDLES));
describeLiar('origin', 'the tile of level 1', /^tile\/1\//, [...tilesOf(TILES), ...LEFT_OUT]);
describeLiar('peer 1', 'the tile of level 0', /^tile\/0\//, tilesOf(TILES));
