/** The versions that a head lists, without their manifests. */
import { MalformedError } from '../../core/errors.ts';
import { parseHead, type VersionEntry } from '../../core/head.ts';
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
