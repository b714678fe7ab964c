/** What one entry of the log that withdraws or lists something asks of a mirror's tarballs. May be done any number of times. */
import { type Entry, parseEntry } from '../../core/entry.ts';
import { type TombstoneRow, versionKey, type WithdrawnRow } from '../../core/tables.ts';
import type { OpenEntry } from '../../core/withdrawal-progress.ts';
import type { BlobStore } from '../../io/blob-store.ts';
import type { Logger } from '../../io/logger.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import type { Tombstones } from '../blobs/tombstones.ts';
import type { PinnedHere } from './pinned-here.ts';
import { type ListingsByHash, nothingIfAway, type WithdrawnContent } from './withdrawn-content.ts';

export type CarryOutDeps = {
  readonly index: Pick<MetadataStore, 'entries' | 'get'>;
  readonly blobs: Pick<BlobStore, 'has'>;
  readonly tombstones: Pick<Tombstones, 'bury' | 'lift'>;
  readonly content: WithdrawnContent;
  /** Null for a mirror that keeps no packages. */
  readonly pinnedHere: PinnedHere | null;
  readonly logger: Logger;
};

type Withdraw = Extract<Entry, { kind: 'withdraw' }>;
type Listed = Extract<Entry, { kind: 'learned' | 'learned-version' | 'repin' }>;

/** Whether an entry may list again what was withdrawn. */
export function isListing(entry: Entry): entry is Listed {
  return entry.kind === 'learned' || entry.kind === 'learned-version' || entry.kind === 'repin';
}

/** @throws UpstreamError and its kin while nobody says which bytes are meant; MalformedError if nobody ever will */
export async function carryOut(deps: CarryOutDeps, open: OpenEntry): Promise<void> {
  const [bytes] = await deps.index.entries(open.index, 1);
  const entry = parseEntry(bytes as Uint8Array);
  if (entry.kind === 'withdraw') await withdraw(deps, entry, open);
  else if (isListing(entry)) await bringBack(deps, entry.name);
}

async function withdraw(deps: CarryOutDeps, { name, version }: Withdraw, open: OpenEntry): Promise<void> {
  const { index, content, tombstones, logger } = deps;
  const row = await index.get('withdrawn', versionKey(name, version));
  // A later entry about the same says all that this one does.
  if (row === null || row.index !== open.index) return;
  const meant = await content.meant(name, version, row);
  const kept = await keptAmong(deps, name, meant);
  const removed = await tombstones.bury(tombstonesFor(name, meant, kept, row, open));
  logger.info({ name, version, reason: row.reason, tarballs: meant.size - kept.size, removed }, 'withdrawn');
}

/** Bytes that another version has as well, of this package or one that is kept here, and that is not withdrawn. */
async function keptAmong(deps: CarryOutDeps, name: string, meant: ListingsByHash): Promise<ReadonlySet<string>> {
  const { blobs, content, pinnedHere } = deps;
  // A withdrawal waits for nobody: what is removed too much can be fetched again.
  const listed = await content.listed(name).catch(nothingIfAway);
  const kept = new Set([...meant.keys()].filter((sha512) => listed.has(sha512)));
  if (pinnedHere === null) return kept;
  const held = new Set<string>();
  for (const hex of meant.keys()) {
    if (!kept.has(hex) && (await blobs.has({ algorithm: 'sha512', hex }))) held.add(hex);
  }
  return kept.union(await pinnedHere(held));
}

async function bringBack({ content, tombstones }: CarryOutDeps, name: string): Promise<void> {
  for (const [sha512, listing] of await content.listed(name)) await tombstones.lift(sha512, listing);
}

function tombstonesFor(
  name: string,
  meant: ListingsByHash,
  kept: ReadonlySet<string>,
  { reason, deadline }: WithdrawnRow,
  { since }: OpenEntry,
): Map<string, TombstoneRow> {
  const gone = [...meant].filter(([sha512]) => !kept.has(sha512));
  return new Map(gone.map(([sha512, { version }]) => [sha512, { name, version, reason, since, deadline }]));
}
