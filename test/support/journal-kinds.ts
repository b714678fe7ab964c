import { type EntryKind, parseEntry } from '../../src/core/entry.ts';
import type { MetadataStore } from '../../src/io/metadata-store.ts';

/** Kinds of all entries of a journal, in order, without the commits that end its batches. */
export async function journalKinds(metadata: Pick<MetadataStore, 'entries'>): Promise<EntryKind[]> {
  const kinds = (await metadata.entries(0, 10_000)).map((bytes) => parseEntry(bytes).kind);
  return kinds.filter((kind) => kind !== 'commit');
}
