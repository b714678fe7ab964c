/**
 * Which bytes the log means by names: a `withdraw` entry names a version, and only the head before it, or a version entry
 * that was told ahead, says what that version was. Heads and entries come by hash, so nobody who sends them is believed.
 */
import { FederationError } from '../../core/errors.ts';
import type { VersionEntry } from '../../core/head.ts';
import { formatPinned, type PinnedHash } from '../../core/integrity.ts';
import { versionPrefix, type WithdrawnRow } from '../../core/tables.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { type ContentFetcher, eachOf } from '../blobs/fetch-content.ts';
import { isWithdrawn, type Listing } from '../blobs/listing.ts';
import { keepingEntries, readEntries, readEntry } from '../packages/head-entries.ts';

/** Versions by the sha512 of their tarballs. */
export type ListingsByHash = ReadonlyMap<string, Listing>;

export type WithdrawnContent = {
  /**
   * The tarballs of what was withdrawn, as far as their sha512 is known; of others this mirror can hold none.
   * @param version `*` for all
   * @throws UpstreamError and its kin while nobody gives what is needed to know; MalformedError if it is no head
   */
  meant(name: string, version: string, row: WithdrawnRow): Promise<ListingsByHash>;
  /**
   * The tarballs that a package has by now.
   * @throws as `meant` does
   */
  listed(name: string): Promise<ListingsByHash>;
};

/** One head may withdraw many versions of the one before it. */
const HEADS_KEPT_MAX = 16;

export function createWithdrawnContent(deps: {
  readonly index: Pick<MetadataStore, 'get' | 'scan'>;
  readonly content: ContentFetcher;
  /** The same, and what it fetches is kept for peers that reach nobody else. */
  readonly kept?: ContentFetcher;
}): WithdrawnContent {
  const { index, content, kept = content } = deps;

  /** Whoever finds a package's newest head somewhere expects there all that it names; of older ones nobody does. */
  const entriesOf = keepingEntries(HEADS_KEPT_MAX, async (name, hash) =>
    readEntries((await index.get('name', name))?.head === hash ? content : kept, name, hash),
  );

  const versionEntry = (hash: string) => readEntry(kept, hash);

  /** A weaker pin is satisfied by what the log says was measured, or by what this mirror saw itself. */
  async function sha512sOf(pinned: PinnedHash): Promise<string[]> {
    if (pinned.algorithm === 'sha512') return [pinned.hex];
    const key = formatPinned(pinned);
    const [measured, satisfied] = [await index.get('measured', key), await index.get('satisfied', key)];
    return [measured?.sha512, satisfied?.sha512].filter((sha512) => sha512 !== undefined);
  }

  /** @param at the entry of the log that lists them */
  async function byHash(name: string, entries: readonly VersionEntry[], at: number): Promise<Map<string, Listing>> {
    const found = new Map<string, Listing>();
    for (const { version, pinned } of entries) {
      for (const sha512 of await sha512sOf(pinned)) found.set(sha512, { name, version, index: at });
    }
    return found;
  }

  async function headOf(name: string): Promise<ListingsByHash> {
    const row = await index.get('name', name);
    return row === null || row.head === null ? new Map() : byHash(name, await entriesOf(name, row.head), row.index);
  }

  /** Told ahead of the next head. */
  async function aheadOf(name: string): Promise<ListingsByHash[]> {
    const rows = await index.scan('ahead', versionPrefix(name));
    return Promise.all(rows.map(async ({ row }) => byHash(name, [await versionEntry(row.entry)], row.index)));
  }

  return {
    async meant(name, version, row) {
      const listed = (await eachOf(row.heads, (hash) => entriesOf(name, hash))).flat();
      const all = [...listed, ...(await eachOf(row.entries, versionEntry))];
      const meant = version === '*' ? all : all.filter((entry) => entry.version === version);
      return byHash(name, meant, row.index);
    },
    async listed(name) {
      const standing = new Map<string, Listing>();
      for (const [sha512, listing] of [await headOf(name), ...(await aheadOf(name))].flatMap((some) => [...some])) {
        if (!(await isWithdrawn(index, listing))) standing.set(sha512, listing);
      }
      return standing;
    },
  };
}

/** In place of tarballs that nobody says: none. A failure of this machine stays one. */
export function nothingIfAway(error: unknown): ListingsByHash {
  if (error instanceof FederationError) return new Map();
  throw error;
}
