/**
 * Tombstones: which tarballs were withdrawn, why, and that they are not to come back by themselves.
 *
 * Order: the tombstones are written, together with the list of what is about to be removed; then the bytes are removed;
 * then the list is cleared, which is the end of it. A crash after the first step leaves bytes that have a tombstone: the
 * next start removes them before it serves anything. What lies beneath a tombstone can be fetched again when it is wanted
 * again, so removing too much costs a download, and removing too little is never an answer to a crash.
 */
import { change, type TombstoneRow } from '../../core/tables.ts';
import { BURYING_SETTING } from '../../core/withdrawal-progress.ts';
import type { BlobId, CacheBlobStore } from '../../io/blob-store.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import type { Metrics } from '../../io/metrics.ts';
import { Serial } from '../../io/serial.ts';
import { isWithdrawn, type Listing } from './listing.ts';

export type Tombstones = {
  get(sha512: string): Promise<TombstoneRow | null>;
  /**
   * Puts up tombstones, by sha512, and removes the tarballs; bodies that are being sent from them may end.
   * @returns how many tarballs there were to remove
   */
  bury(rows: ReadonlyMap<string, TombstoneRow>): Promise<number>;
  /**
   * The tarball may be fetched, stored and served again, unless what lists it was withdrawn as well meanwhile.
   * @param listing of a version that has these bytes
   */
  lift(sha512: string, listing: Listing): Promise<void>;
  /** Whether it is old enough for the origin to know of it: what the origin gives is then worth more than the tombstone. */
  isSettled(tombstone: TombstoneRow): boolean;
  /**
   * A tarball was just stored: one that was withdrawn while it was on its way is removed.
   * @param despite the tombstone in spite of which the origin itself gave it, so that another version must have the same
   * bytes; null where there was none
   */
  stored(sha512: string, despite: TombstoneRow | null): Promise<void>;
};

/** Steps between which a test may stop the process. */
export type TombstoneStep = 'tombstones:written' | 'tombstones:removed';

/** In one transaction, and in that list. */
const BURIED_MAX = 1_000;
/** For so long after a withdrawal the origin's tables may be behind its log, so that it gives what is gone there as well. */
const UNSETTLED_MS = 10_000;

/** Opens the tombstones, and finishes what a crash interrupted. */
export async function openTombstones(deps: {
  readonly index: Pick<MetadataStore, 'get' | 'write'>;
  readonly blobs: Pick<CacheBlobStore, 'has' | 'delete'>;
  readonly metrics: Metrics;
  /** Unix ms. */
  readonly now: () => number;
  readonly step?: (name: TombstoneStep) => void;
}): Promise<Tombstones> {
  const { index, blobs, metrics, now, step = () => undefined } = deps;
  const turns = new Serial();
  const removed = metrics.counter('withdrawn_blobs_removed_total', 'Tarballs removed because they were withdrawn');
  const get = (sha512: string) => index.get('tombstone', sha512);

  async function remove(sha512: string): Promise<boolean> {
    const id: BlobId = { algorithm: 'sha512', hex: sha512 };
    if (!(await blobs.has(id))) return false;
    await blobs.delete(id);
    removed.inc();
    return true;
  }

  async function removeAll(hashes: readonly string[]): Promise<number> {
    let count = 0;
    for (const sha512 of hashes) if (await remove(sha512)) count += 1;
    step('tombstones:removed');
    await index.write([change('setting', BURYING_SETTING, null)]);
    return count;
  }

  async function buryNow(rows: readonly (readonly [string, TombstoneRow])[]): Promise<number> {
    const hashes = rows.map(([sha512]) => sha512);
    const list = change('setting', BURYING_SETTING, { value: JSON.stringify(hashes) });
    await index.write([...rows.map(([sha512, row]) => change('tombstone', sha512, row)), list]);
    step('tombstones:written');
    return removeAll(hashes);
  }

  const interrupted = await index.get('setting', BURYING_SETTING);
  if (interrupted) await removeAll(JSON.parse(interrupted.value) as string[]);

  const takeDown = (sha512: string) => index.write([change('tombstone', sha512, null)]);

  async function liftNow(sha512: string, listing: Listing): Promise<void> {
    if ((await get(sha512)) && !(await isWithdrawn(index, listing))) await takeDown(sha512);
  }

  /** The origin's word counts for the tombstone that it knew of, not for one that came meanwhile. */
  async function storedNow(sha512: string, despite: TombstoneRow | null): Promise<void> {
    const standing = await get(sha512);
    if (!standing) return;
    if (standing.since === despite?.since) await takeDown(sha512);
    else await remove(sha512);
  }

  return {
    get,
    isSettled: ({ since }) => now() - since > UNSETTLED_MS,
    async bury(rows) {
      const all = [...rows];
      let count = 0;
      for (let at = 0; at < all.length; at += BURIED_MAX) {
        count += await turns.run(() => buryNow(all.slice(at, at + BURIED_MAX)));
      }
      return count;
    },
    lift: (sha512, listing) => turns.run(() => liftNow(sha512, listing)),
    stored: (sha512, despite) => turns.run(() => storedNow(sha512, despite)),
  };
}
