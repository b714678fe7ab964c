/** Which tarball a host may be asked for where there is a reason to ask for this one and no other. */
import { formatPinned } from '../../core/integrity.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { versionsPinning } from './pinned-versions.ts';
import type { RecentTarball, Tarballs } from './tarballs.ts';

/** Every look at a host that fails to give it right asks for it again. */
const BYTES_MAX = 4 * 1024 * 1024;

/** The tarball, or null if it is not stored, is larger than 4 MiB, or no version that is still there has it: no host has to give it. */
export async function lookable(
  sha512: string,
  deps: { readonly metadata: MetadataStore; readonly tarballs: Pick<Tarballs, 'size'> },
): Promise<RecentTarball | null> {
  const size = await deps.tarballs.size(sha512);
  if (size === null || size > BYTES_MAX) return null;
  const pinned = formatPinned({ algorithm: 'sha512', hex: sha512 });
  for await (const { name, version, isWithdrawn } of versionsPinning(deps.metadata, pinned)) {
    if (!isWithdrawn) return { sha512, size, name, version };
  }
  return null;
}
