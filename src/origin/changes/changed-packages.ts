/**
 * Which packages have changed since a sequence number: read out of the journal and compared with the tables, so that it
 * costs no table of its own. Each package stands there once, where it changed last.
 *
 * Only entries that are folded are looked at. A package whose next change is folded meanwhile is passed over, and found
 * at that change's higher number: nothing is ever missed.
 */
import { changeOf, changingEntry, type PackageChange } from '../../core/npm-changes.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { Turn } from '../../io/turn.ts';

/** Changes of a stretch of the journal, in its order; everything up to `position` has been looked at. */
export type ChangedStretch = { readonly changes: readonly PackageChange[]; readonly position: number };

export type ChangedPackages = {
  /** Sequence number of the newest change; 0 before the first. */
  newest(): Promise<number>;
  /** Packages that the tables know, absent and withdrawn ones included. */
  count(): Promise<number>;
  /** At most `limit` changes after `since`, and not beyond `to`, oldest first. */
  after(since: number, to: number, limit: number): Promise<ChangedStretch>;
  /** At most `limit` changes up to `to`, back to `since` (exclusive), newest first. */
  before(to: number, since: number, limit: number): Promise<readonly PackageChange[]>;
};

/** Entries read at once. */
const CHUNK = 500;
/** Entries looked at for one page that has changes already: what a page may cost. */
const SCAN_MAX = 20_000;
/** The same for a page that has none yet: followers take an empty page for the end of the feed. */
const EMPTY_SCAN_MAX = 200_000;

export function createChangedPackages(
  metadata: Pick<MetadataStore, 'entries' | 'folded' | 'get' | 'count'>,
): ChangedPackages {
  let newest = 0;
  let searched = 0;
  /** Chunks without a change. They stay so: what was superseded once is so for ever. */
  const barren = new Set<number>();

  /** The first `limit` changes among entries `from` to `to` (exclusive), or the last ones where `backwards`. */
  async function changesIn(from: number, to: number, limit: number, backwards: boolean): Promise<PackageChange[]> {
    const turn = new Turn();
    const found: PackageChange[] = [];
    const entries = [...(await metadata.entries(from, to - from)).entries()];
    for (const [at, bytes] of backwards ? entries.reverse() : entries) {
      if (found.length === limit) break;
      const entry = changingEntry(bytes);
      if (entry === null) continue;
      const change = changeOf(from + at + 1, bytes, entry, await metadata.get('package', entry.name));
      if (change) found.push(change);
      if (turn.isSpent()) await turn.give();
    }
    return found;
  }

  /** The same for a part of one chunk, which is not read if it was found barren before. */
  async function changesInChunk(from: number, to: number, limit: number, backwards: boolean): Promise<PackageChange[]> {
    const chunk = Math.floor(from / CHUNK);
    if (barren.has(chunk)) return [];
    const found = await changesIn(from, to, limit, backwards);
    if (found.length === 0 && to - from === CHUNK) barren.add(chunk);
    return found;
  }

  /** Backwards, because nearly always one of the last few entries is it. */
  async function findNewest(from: number, to: number): Promise<number> {
    const turn = new Turn();
    for (let end = to; end > from; end -= CHUNK) {
      const start = Math.max(from, end - CHUNK);
      const entries = await metadata.entries(start, end - start);
      const last = entries.findLastIndex((bytes) => changingEntry(bytes) !== null);
      if (last >= 0) return start + last + 1;
      if (turn.isSpent()) await turn.give();
    }
    return 0;
  }

  return {
    newest: async () => {
      const folded = await metadata.folded();
      const found = await findNewest(searched, folded);
      newest = Math.max(newest, found);
      searched = Math.max(searched, folded);
      return newest;
    },
    count: () => metadata.count('package'),
    after: async (since, to, limit) => {
      const changes: PackageChange[] = [];
      let position = since;
      while (position < to && position - since < (changes.length > 0 ? SCAN_MAX : EMPTY_SCAN_MAX)) {
        const end = Math.min(position - (position % CHUNK) + CHUNK, to);
        changes.push(...(await changesInChunk(position, end, limit - changes.length, false)));
        if (changes.length === limit) return { changes, position: changes.at(-1)?.seq ?? end };
        position = end;
      }
      return { changes, position };
    },
    before: async (to, since, limit) => {
      const changes: PackageChange[] = [];
      let position = to;
      while (position > since && changes.length < limit && to - position < EMPTY_SCAN_MAX) {
        const start = Math.max(position - 1 - ((position - 1) % CHUNK), since);
        changes.push(...(await changesInChunk(start, position, limit - changes.length, true)));
        position = start;
      }
      return changes;
    },
  };
}
