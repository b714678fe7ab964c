/**
 * Getting a package by the hash of its head: the head, what it names, and the versions' blobs, from peers or the origin.
 *
 * Whoever sends them is not believed: each blob has the hash by which its parent names it, up to the head, and the forms
 * have the digests that the head states. The head is stored together with what was missing, all or nothing.
 */

import { UpstreamError } from '../../core/errors.ts';
import { sha256Hex } from '../../core/hash.ts';
import { type Head, parseHead, type VersionEntry } from '../../core/head.ts';
import { HEAD_BYTES_MAX, MANIFEST_BYTES_MAX, PACKUMENT_BYTES_MAX, PAGE_BYTES_MAX } from '../../core/limits.ts';
import { takeManifest } from '../../core/manifest.ts';
import { splitPackument } from '../../core/packument-split.ts';
import { readPages } from '../../core/pages.ts';
import type { BlobStore } from '../../io/blob-store.ts';
import type { HeadParts } from '../../io/sqlite-package-store.ts';
import { inTurns, Turn } from '../../io/turn.ts';
import { type ContentFetcher, eachOf } from '../blobs/fetch-content.ts';

export type HeadFetcher = {
  /**
   * The head of `name` with everything that it is made of, stored.
   * @throws UpstreamError, UpstreamTimeoutError when no source has it; IntegrityError, MalformedError for what is not what
   * it should be
   */
  fetch(name: string, hash: string): Promise<Head>;
};

/** Above so many missing manifests the whole form is one request instead. */
const SINGLE_MAX = 24;

export function createHeadFetcher(deps: {
  blobs: Pick<BlobStore, 'has' | 'read'>;
  /** Stores a head with those blobs that it is made of and that were not there. */
  put: (head: HeadParts, blobs: readonly Uint8Array[]) => Promise<void>;
  content: ContentFetcher;
}): HeadFetcher {
  const { blobs, content } = deps;

  async function missingOf(entries: readonly VersionEntry[]): Promise<string[]> {
    const missing: string[] = [];
    for (const hex of entries.flatMap((entry) => [entry.manifest, entry.abbreviated])) {
      if (!(await blobs.has({ algorithm: 'sha256', hex }))) missing.push(hex);
    }
    return missing;
  }

  /** The versions' blobs out of the full form, which its own digest in the head vouches for. */
  async function takeForm(hash: string, head: Head, entries: readonly VersionEntry[]): Promise<Uint8Array[]> {
    const form = await content.at(`form/${hash}/full`, head.full.sha256, Math.min(head.full.size, PACKUMENT_BYTES_MAX));
    const turn = new Turn();
    const steps = splitPackument(form, head.name);
    let step = steps.next();
    for (; !step.done; step = steps.next()) if (turn.isSpent()) await turn.give();
    const wanted = new Set(entries.flatMap((entry) => [entry.manifest, entry.abbreviated]));
    const taken: Uint8Array[] = [];
    for (const { version, bytes } of step.value.versions) {
      if (turn.isSpent()) await turn.give();
      const { manifest, abbreviated } = takeManifest(bytes, head.name, version);
      for (const blob of [manifest, abbreviated]) if (wanted.delete(sha256Hex(blob))) taken.push(blob);
    }
    if (wanted.size === 0) return taken;
    throw new UpstreamError({ what: `form of ${head.name}`, reason: 'it lacks manifests that its head names' });
  }

  return {
    async fetch(name, hash) {
      const headBytes = await content.at(`head/${hash}`, hash, HEAD_BYTES_MAX);
      const head = parseHead(headBytes);
      if (head.name !== name) throw new UpstreamError({ what: name, reason: `the head ${hash} is about ${head.name}` });
      const [tags, top, ...pages] = await Promise.all([
        content.blob(head.tags, PACKUMENT_BYTES_MAX),
        content.blob(head.top, PACKUMENT_BYTES_MAX),
        ...head.pages.map((page) => content.blob(page, PAGE_BYTES_MAX)),
      ]);
      const entries = await inTurns(readPages(head, pages));
      const missing = await missingOf(entries);
      const versions =
        missing.length > SINGLE_MAX
          ? await takeForm(hash, head, entries)
          : await eachOf(missing, (hex) => content.blob(hex, MANIFEST_BYTES_MAX));
      const fresh = [...versions, tags as Uint8Array, top as Uint8Array, ...pages, headBytes];
      await deps.put({ name, hash, parts: partsOf(hash, head, entries) }, fresh);
      return head;
    },
  };
}

/** Everything that a package with this head is made of. */
function partsOf(hash: string, { tags, top, pages }: Head, entries: readonly VersionEntry[]): string[] {
  return [hash, tags, top, ...pages, ...entries.flatMap(({ manifest, abbreviated }) => [manifest, abbreviated])];
}
