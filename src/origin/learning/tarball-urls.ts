/** Where the upstream keeps tarballs: a local table, by name and version. */
import { type Change, change, versionKey, versionPrefix } from '../../core/tables.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { Turn } from '../../io/turn.ts';

/** @param urls by version */
export async function noteTarballUrls(
  metadata: MetadataStore,
  name: string,
  urls: ReadonlyMap<string, string>,
): Promise<void> {
  const known = await knownUrls(metadata, name, [...urls.keys()]);
  const turn = new Turn();
  const changes: Change[] = [];
  for (const [version, url] of urls) {
    const key = versionKey(name, version);
    if (known.get(key) !== url) changes.push(change('tarball-url', key, { url }));
    if (turn.isSpent()) await turn.give();
  }
  if (changes.length > 0) await metadata.write(changes);
}

/** By key. All of a package's in one question: one for each of ten thousand versions would hold up everybody. */
async function knownUrls(
  metadata: MetadataStore,
  name: string,
  versions: readonly string[],
): Promise<Map<string, string>> {
  const [only] = versions.length === 1 ? versions : [];
  const prefix = only === undefined ? versionPrefix(name) : versionKey(name, only);
  return new Map((await metadata.scan('tarball-url', prefix)).map(({ key, row }) => [key, row.url]));
}
