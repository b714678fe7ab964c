/** Versions of the index by the hash that pins them: different packages may have the same bytes. */
import { pinPrefix, versionKey } from '../../core/tables.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';

export type PinnedVersion = { readonly name: string; readonly version: string; readonly isWithdrawn: boolean };

/** So many versions with the same bytes are looked at. */
const SHARED_MAX = 1_000;

/** @param pinned as `formatPinned` writes it */
export async function* versionsPinning(
  metadata: Pick<MetadataStore, 'get' | 'scan'>,
  pinned: string,
): AsyncGenerator<PinnedVersion> {
  const rows = await metadata.scan('pinned', pinPrefix(pinned), { limit: SHARED_MAX });
  for (const { row } of rows) {
    const { name, version } = row;
    const state = (await metadata.get('version', versionKey(name, version)))?.state;
    yield { name, version, isWithdrawn: state === 'withdrawn' };
  }
}
