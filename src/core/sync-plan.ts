/**
 * What following a log takes: how a checkpoint relates to what is held, which entry bundles to read, by which hashes each
 * of them is proven, and what its entries have to be.
 *
 * A hash of level 8 is the root over exactly one full bundle, so a bundle is proven by one hash of a level 1 tile, and no
 * level 0 tile has to be read: those follow from the entries. A bundle that is not full yet is proven leaf by leaf.
 */
import { equal, text } from './bytes.ts';
import { type Entry, parseEntry } from './entry.ts';
import { FederationError, UnreadableEntryError, WrongTileError } from './errors.ts';
import { leafHash, type NodeId, rootHash, type TreeHead } from './merkle.ts';
import { type Bundle, bundlePath, TILE_WIDTH } from './tile.ts';

/** Level of the subtrees that have as many leaves as a bundle has entries: 2^8 is TILE_WIDTH. */
const BUNDLE_LEVEL = 8;

/**
 * How a tree that somebody signed stands to the one held, as far as size and root alone tell. Only a proof tells whether
 * an older or newer one is of the same log.
 */
export type Standing = 'same' | 'older' | 'newer' | 'forked';

export function standingOf(seen: TreeHead, held: TreeHead): Standing {
  if (seen.size !== held.size) return seen.size < held.size ? 'older' : 'newer';
  return equal(seen.root, held.root) ? 'same' : 'forked';
}

/** Entries `from` to `to` (exclusive) are taken in together; they lie in these bundles, the first of them maybe partly. */
export type SyncStep = { readonly from: number; readonly to: number; readonly bundles: readonly Bundle[] };

/**
 * How to get from a log of `from` entries to one of `to`, in steps that end where a bundle does, or at the end.
 * @param bundlesMax most bundles in one step: what is held in memory
 */
export function* syncSteps(from: number, to: number, bundlesMax: number): Generator<SyncStep> {
  for (let at = from; at < to; ) {
    const first = Math.floor(at / TILE_WIDTH);
    const end = Math.min(to, (first + bundlesMax) * TILE_WIDTH);
    yield { from: at, to: end, bundles: bundlesOf(first, end) };
    at = end;
  }
}

function bundlesOf(first: number, end: number): Bundle[] {
  const bundles: Bundle[] = [];
  for (let index = first; index * TILE_WIDTH < end; index++) {
    bundles.push({ index, width: Math.min(TILE_WIDTH, end - index * TILE_WIDTH) });
  }
  return bundles;
}

/** The nodes whose hashes prove a bundle. */
export function nodesOfBundle({ index, width }: Bundle): NodeId[] {
  if (width === TILE_WIDTH) return [{ level: BUNDLE_LEVEL, index }];
  return Array.from({ length: width }, (_, at) => ({ level: 0, index: index * TILE_WIDTH + at }));
}

/**
 * The leaf hashes of a bundle's entries.
 * @param hashes those of {@link nodesOfBundle}, in that order, from a reader that vouches for them
 * @throws WrongTileError if these are not the entries that the log has there
 */
export function checkBundle(
  bundle: Bundle,
  entries: readonly Uint8Array[],
  hashes: readonly Uint8Array[],
): Uint8Array[] {
  const leaves = entries.map(leafHash);
  const proven = bundle.width === TILE_WIDTH ? [rootHash(leaves)] : leaves;
  const isRight = entries.length === bundle.width && proven.every((hash, at) => equal(hash, hashes[at] as Uint8Array));
  if (isRight) return leaves;
  throw new WrongTileError({ paths: [bundlePath(bundle)], reason: 'its entries are not those of the log' });
}

/**
 * Reads entries that are known to be the log's: each must be one that this version knows, and none may be dated before
 * the one in front of it.
 * @param first index of the first of them
 * @param after time of the entry in front of them, unix ms
 * @throws UnreadableEntryError naming the entry: it is the origin that signed it, whoever sent it
 */
export function readEntries(entries: readonly Uint8Array[], first: number, after: number): Entry[] {
  let time = after;
  return entries.map((bytes, at) => {
    const entry = readEntry(bytes, first + at);
    if (entry.time < time)
      throw unreadable(
        first + at,
        `it is dated ${time - entry.time} ms before the one in front of it; its origin is at fault`,
      );
    time = entry.time;
    return entry;
  });
}

function readEntry(bytes: Uint8Array, index: number): Entry {
  try {
    return parseEntry(bytes);
  } catch (cause) {
    if (!(cause instanceof FederationError)) throw cause;
    throw unreadable(index, `${cause.message}; ${adviceFor(bytes)}`, cause);
  }
}

/** A kind that is well-formed and unknown is from a later version of this software. */
function adviceFor(bytes: Uint8Array): string {
  const line = /^[a-z][a-z0-9-]{0,63}\/[0-9]{1,9}\n/.exec(firstCharacters(bytes));
  return line ? 'if its origin runs a later version than this mirror, upgrade this mirror' : 'its origin is at fault';
}

function firstCharacters(bytes: Uint8Array): string {
  try {
    return text(bytes).slice(0, 80);
  } catch {
    return '';
  }
}

/**
 * Every checkpoint that an origin publishes ends in a commit.
 * @throws UnreadableEntryError for one that doesn't
 */
export function checkEnd(last: Entry, index: number): void {
  if (last.kind === 'commit') return;
  throw unreadable(index, `a checkpoint ends in it, and it is no commit but ${last.kind}; its origin is at fault`);
}

function unreadable(index: number, reason: string, cause?: Error): UnreadableEntryError {
  return new UnreadableEntryError({ index, reason }, { cause });
}
