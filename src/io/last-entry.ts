import { type Entry, parseEntry } from '../core/entry.ts';
import type { MetadataStore } from './metadata-store.ts';

/** The last of that many entries of a journal; null if there is none. */
export async function lastEntry(metadata: Pick<MetadataStore, 'entries'>, size: number): Promise<Entry | null> {
  const [last] = size > 0 ? await metadata.entries(size - 1, 1) : [];
  return last ? parseEntry(last) : null;
}
