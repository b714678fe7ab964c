/** What the log lists of versions, without their manifests: by a package's head and its pages, or by an entry alone. */
import { MalformedError } from '../../core/errors.ts';
import { parseHead, parseVersionEntry, type VersionEntry } from '../../core/head.ts';
import { HEAD_BYTES_MAX, PAGE_BYTES_MAX } from '../../core/limits.ts';
import { readPages } from '../../core/pages.ts';
import { inTurns } from '../../io/turn.ts';
import { type ContentFetcher, eachOf } from '../blobs/fetch-content.ts';

/**
 * Reads head and pages by their hashes.
 * @throws UpstreamError and its kin while nobody gives them, MalformedError if they are no such thing
 */
export async function readEntries(from: ContentFetcher, name: string, hash: string): Promise<VersionEntry[]> {
  const head = parseHead(await from.at(`head/${hash}`, hash, HEAD_BYTES_MAX));
  if (head.name !== name) throw new MalformedError('head', `it is about ${head.name}, the log names it for ${name}`);
  return inTurns(readPages(head, await eachOf(head.pages, (page) => from.blob(page, PAGE_BYTES_MAX))));
}

/** Reads a version entry that the log tells alone. @throws as {@link readEntries} */
export async function readEntry(from: ContentFetcher, hash: string): Promise<VersionEntry> {
  return parseVersionEntry(await from.blob(hash, PAGE_BYTES_MAX));
}

/**
 * Keeps what heads list in memory, of so many heads: whoever wants one version of a package mostly wants others, too. A
 * failure is not kept.
 */
export function keepingEntries(
  headsMax: number,
  read: (name: string, hash: string) => Promise<VersionEntry[]>,
): typeof read {
  const kept = new Map<string, Promise<VersionEntry[]>>();
  return (name, hash) => {
    const known = kept.get(hash);
    if (known) return known;
    const reading = read(name, hash);
    kept.set(hash, reading);
    reading.catch(() => kept.delete(hash));
    if (kept.size > headsMax) kept.delete(kept.keys().next().value as string);
    return reading;
  };
}
