/**
 * Which tarballs belong to a package that this mirror keeps: different packages may have the same bytes, and the
 * withdrawal of one is none of the other. Everything kept is looked through, which is slow; so it is asked only of those
 * few withdrawn tarballs that are held.
 */
import { rowsOf } from '../../core/index-reader.ts';
import type { HttpClient } from '../../io/http-client.ts';
import type { DoorStores } from '../../io/stores.ts';
import { Turn } from '../../io/turn.ts';
import { createContentFetcher } from '../blobs/fetch-content.ts';
import { createWithdrawnContent, nothingIfAway } from './withdrawn-content.ts';

/** Those of the tarballs, by sha512, that a package kept here has, and that are not withdrawn from it. */
export type PinnedHere = (hashes: ReadonlySet<string>) => Promise<ReadonlySet<string>>;

export function createPinnedHere({ metadata, blobs }: DoorStores, client: HttpClient): PinnedHere {
  // Without a source there is only what is kept.
  const content = createContentFetcher({ stored: [blobs], client, sources: [] });
  const kept = createWithdrawnContent({ index: metadata, content });

  return async (hashes) => {
    const found = new Set<string>();
    if (hashes.size === 0) return found;
    const turn = new Turn();
    for await (const { key: name } of rowsOf(metadata, 'followed')) {
      if (turn.isSpent()) await turn.give();
      const listed = await kept.listed(name).catch(nothingIfAway);
      for (const sha512 of hashes) if (listed.has(sha512)) found.add(sha512);
      if (found.size === hashes.size) break;
    }
    return found;
  };
}
