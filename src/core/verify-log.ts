/**
 * Checks of a log as a store keeps it: that its tiles and its head are what the entries make them, and that what is
 * published of it ends where the log's only writer lets a checkpoint end. A page of entries is in memory at a time.
 */

import { equal, toHex } from './bytes.ts';
import { parseEntry } from './entry.ts';
import { MalformedError } from './errors.ts';
import { SHA256_BYTES } from './hash.ts';
import { appendLeaves, EMPTY_TREE, type LogTree, rootOfTree, type TileRow } from './log-tree.ts';
import { leafHash, type TreeHead } from './merkle.ts';
import { TILE_WIDTH, tilePath } from './tile.ts';
import { type Check, Tally } from './verify-report.ts';

/** Where a log is read from. It may grow meanwhile. */
export type LogReader = {
  /** Entries in the journal. */
  size(): Promise<number>;
  /** Size and root of the tree over them, as stored. */
  head(): Promise<TreeHead>;
  entries(from: number, limit: number): Promise<Uint8Array[]>;
  /** All that is stored of a tile, null if nothing is. */
  tile(level: number, index: number): Promise<Uint8Array | null>;
};

/** Something that says how many entries a log has, and with which root. */
type Claim = { readonly subject: string; readonly head: TreeHead; readonly endsInCommit: boolean };

/** Whose log it is. A follower takes in a step at a time, so what it holds beyond its checkpoint may end anywhere. */
export type Holder = 'writer' | 'follower';

/** Sees the entries that were read, in order; rejects to end the check of the entries, as a problem of the journal. */
export type OnEntries = (entries: readonly Uint8Array[], first: number) => Promise<void>;

/**
 * Recomputes every leaf and every tile from the entries, and the root of the head and of the checkpoint.
 * @param checkpoint what is published, its signature checked; null if nothing is; a rejection is a problem of its own
 * @param onEntries for what else is to be checked of the very entries that were read
 * @param holder whether the log ends in a commit also beyond what is published
 */
export async function verifyLog(
  reader: LogReader,
  checkpoint: () => Promise<TreeHead | null>,
  onEntries: OnEntries = async () => undefined,
  holder: Holder = 'writer',
): Promise<Check> {
  const tally = new Tally('log');
  const published = await publishedOf(checkpoint, tally);
  // Read after the checkpoint, so that a log that grows is never behind it.
  const head = await reader.head();
  const claims = claimsOf(head, published, holder);
  const beyond = claims.filter((claim) => claim.head.size > head.size);
  for (const claim of beyond)
    tally.wrong(claim.subject, `it tells of ${claim.head.size} entries, there are ${head.size}`);
  await tally.attempt('journal', () => regrow(reader, head.size, claims, onEntries, tally));
  noteWaiting(head.size, await reader.size(), tally);
  return tally.result('tiles and root as the entries make them');
}

/** What is published and the head are often the same; it is then told once. */
function claimsOf(head: TreeHead, published: TreeHead | null, holder: Holder): Claim[] {
  const whole = { subject: 'head', head, endsInCommit: holder === 'writer' };
  if (published === null) return [whole];
  const claim = { subject: 'checkpoint', head: published, endsInCommit: true };
  return published.size === head.size && equal(published.root, head.root) ? [claim] : [whole, claim];
}

async function publishedOf(checkpoint: () => Promise<TreeHead | null>, tally: Tally): Promise<TreeHead | null> {
  let published: TreeHead | null = null;
  await tally.attempt('checkpoint', async () => {
    published = await checkpoint();
    if (published !== null) tally.count('checkpoint');
  });
  return published;
}

async function regrow(
  reader: LogReader,
  size: number,
  claims: readonly Claim[],
  onEntries: OnEntries,
  tally: Tally,
): Promise<void> {
  let tree = EMPTY_TREE;
  await checkClaims(tree, null, claims, tally);
  while (tree.size < size) {
    const page = await pageAt(reader, tree.size, nextStop(tree.size, size, claims));
    tally.count('entry', page.length);
    const grown = appendLeaves(tree, page.map(leafHash));
    tree = grown.tree;
    const full = grown.tiles.filter(({ hashes }) => hashes.length === TILE_WIDTH * SHA256_BYTES);
    for (const tile of full) await checkTile(reader, tile, size, tally);
    await checkClaims(tree, page.at(-1) ?? null, claims, tally);
    await onEntries(page, tree.size - page.length);
  }
  for (const tile of edgeOf(tree)) await checkTile(reader, tile, size, tally);
}

/** Where the page ends that starts at `from`: with its tile, or where something is claimed. */
function nextStop(from: number, size: number, claims: readonly Claim[]): number {
  const ends = claims.map(({ head }) => head.size).filter((end) => end > from);
  return Math.min(size, (Math.floor(from / TILE_WIDTH) + 1) * TILE_WIDTH, ...ends);
}

async function pageAt(reader: LogReader, from: number, to: number): Promise<Uint8Array[]> {
  const page = await reader.entries(from, to - from);
  if (page.length === to - from) return page;
  throw new Error(`entry ${from + page.length} is missing`);
}

async function checkClaims(
  tree: LogTree,
  last: Uint8Array | null,
  claims: readonly Claim[],
  tally: Tally,
): Promise<void> {
  const root = rootOfTree(tree);
  for (const { subject, head, endsInCommit } of claims.filter((claim) => claim.head.size === tree.size)) {
    if (!equal(head.root, root)) {
      tally.wrong(subject, `its root is ${toHex(head.root)}, that of the entries ${toHex(root)}`);
    }
    await tally.attempt(subject, async () => {
      if (endsInCommit && last !== null) mustBeCommit(last, tree.size - 1);
    });
  }
}

/** @throws MalformedError */
function mustBeCommit(entry: Uint8Array, index: number): void {
  const { kind } = parseEntry(entry);
  if (kind !== 'commit') throw new MalformedError('log', `it ends in entry ${index}, which is no commit but ${kind}`);
}

/** The tiles that are not full, as far as the tree fills them. */
function edgeOf({ size, edge }: LogTree): TileRow[] {
  return edge
    .map((hashes, level) => ({ level, index: Math.floor(size / TILE_WIDTH ** (level + 1)), hashes }))
    .filter(({ hashes }) => hashes.length > 0);
}

async function checkTile(reader: LogReader, made: TileRow, size: number, tally: Tally): Promise<void> {
  const { level, index, hashes } = made;
  const name = tilePath({ level, index, width: hashes.length / SHA256_BYTES });
  tally.count('tile');
  await tally.attempt(name, async () => {
    const stored = await reader.tile(level, index);
    if (stored === null) throw new Error('it is missing');
    mustBe(stored, hashes);
    // The edge moves when entries come while we read.
    if (stored.length > hashes.length && (await reader.head()).size === size) throw new Error(held(stored));
  });
}

function mustBe(stored: Uint8Array, made: Uint8Array): void {
  if (stored.length < made.length) throw new Error(`only ${held(stored)}`);
  const at = firstDifference(stored, made);
  if (at !== null) throw new Error(`hash ${at} is not what the entries make it`);
}

const held = ({ length }: Uint8Array): string => `${length / SHA256_BYTES} hashes are stored`;

function firstDifference(stored: Uint8Array, made: Uint8Array): number | null {
  for (let at = 0; at < made.length; at += SHA256_BYTES) {
    if (!equal(stored.subarray(at, at + SHA256_BYTES), made.subarray(at, at + SHA256_BYTES))) return at / SHA256_BYTES;
  }
  return null;
}

function noteWaiting(inTree: number, size: number, tally: Tally): void {
  if (inTree >= size) return;
  const n = size - inTree;
  tally.note(`${n} ${n === 1 ? 'entry is' : 'entries are'} not in the tree yet; the next start takes them in`);
}
