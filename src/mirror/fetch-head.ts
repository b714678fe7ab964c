/**
 * Getting a package by the hash of its head: the head, what it names, and the versions' blobs, from peers or the origin.
 *
 * Whoever sends them is not believed: each blob has the hash by which its parent names it, up to the head, and the forms
 * have the digests that the head states. Order: all blobs are durable before anyone learns of the head.
 */

import { IntegrityError, UpstreamError } from '../core/errors.ts';
import { sha256Hex } from '../core/hash.ts';
import { type Head, parseHead, type VersionEntry } from '../core/head.ts';
import { HEAD_BYTES_MAX, MANIFEST_BYTES_MAX, PACKUMENT_BYTES_MAX, PAGE_BYTES_MAX } from '../core/limits.ts';
import { takeManifest } from '../core/manifest.ts';
import { splitPackument } from '../core/packument-split.ts';
import { readPages } from '../core/pages.ts';
import type { BlobStore } from '../io/blob-store.ts';
import type { HttpClient } from '../io/http-client.ts';
import { inTurns, Turn } from '../io/turn.ts';

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
/** Blobs asked for at the same time. */
const PARALLEL = 8;
/** Blobs in one transaction. */
const PUT_BLOBS = 400;
const TIMEOUT_MS = 60_000;

export function createHeadFetcher(deps: {
  blobs: Pick<BlobStore, 'has' | 'read' | 'putMany'>;
  client: HttpClient;
  /** Base URLs, in the order in which to try them. */
  sources: readonly string[];
}): HeadFetcher {
  const { blobs, client, sources } = deps;

  /** Bytes with that SHA-256, stored or from the first source that has them. */
  async function obtain(hash: string, path: string, maxBytes: number): Promise<Uint8Array> {
    const stored = await blobs.read({ algorithm: 'sha256', hex: hash });
    if (stored) return stored;
    let failure: unknown = new UpstreamError({ what: `/-/federation/${path}`, reason: 'no source is known' });
    for (const source of sources) {
      try {
        return await ask(source, path, hash, maxBytes);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  async function ask(source: string, path: string, hash: string, maxBytes: number): Promise<Uint8Array> {
    const url = `${source}/-/federation/${path}`;
    const headers = { 'accept-encoding': 'zstd, gzip' };
    const { status, body } = await client.request(url, { headers, maxBytes, totalTimeoutMs: TIMEOUT_MS });
    if (status !== 200) throw new UpstreamError({ what: url, reason: `it answered with status ${status}` });
    const actual = sha256Hex(body);
    if (actual === hash) return body;
    throw new IntegrityError({ expected: `sha256:${hash}`, actual: `sha256:${actual}`, source });
  }

  const obtainBlob = (hash: string, maxBytes: number) => obtain(hash, `blob/sha256/${hash}`, maxBytes);

  async function store(fresh: readonly Uint8Array[]): Promise<void> {
    const all = fresh.map((bytes) => ({ id: { algorithm: 'sha256' as const, hex: sha256Hex(bytes) }, bytes }));
    for (let at = 0; at < all.length; at += PUT_BLOBS) await blobs.putMany(all.slice(at, at + PUT_BLOBS));
  }

  async function missingOf(entries: readonly VersionEntry[]): Promise<string[]> {
    const missing: string[] = [];
    for (const hex of entries.flatMap((entry) => [entry.manifest, entry.abbreviated])) {
      if (!(await blobs.has({ algorithm: 'sha256', hex }))) missing.push(hex);
    }
    return missing;
  }

  /** The versions' blobs out of the full form, which its own digest in the head vouches for. */
  async function takeForm(hash: string, head: Head, entries: readonly VersionEntry[]): Promise<Uint8Array[]> {
    const form = await obtain(head.full.sha256, `form/${hash}/full`, Math.min(head.full.size, PACKUMENT_BYTES_MAX));
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
      const headBytes = await obtain(hash, `head/${hash}`, HEAD_BYTES_MAX);
      const head = parseHead(headBytes);
      if (head.name !== name) throw new UpstreamError({ what: name, reason: `the head ${hash} is about ${head.name}` });
      const [tags, top, ...pages] = await Promise.all([
        obtainBlob(head.tags, PACKUMENT_BYTES_MAX),
        obtainBlob(head.top, PACKUMENT_BYTES_MAX),
        ...head.pages.map((page) => obtainBlob(page, PAGE_BYTES_MAX)),
      ]);
      const entries = await inTurns(readPages(head, pages));
      const missing = await missingOf(entries);
      const versions =
        missing.length > SINGLE_MAX
          ? await takeForm(hash, head, entries)
          : await inParallel(missing, (hex) => obtainBlob(hex, MANIFEST_BYTES_MAX));
      await store([...versions, tags as Uint8Array, top as Uint8Array, ...pages, headBytes]);
      return head;
    },
  };
}

async function inParallel<T, R>(items: readonly T[], task: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += PARALLEL) {
    results.push(...(await Promise.all(items.slice(at, at + PARALLEL).map(task))));
  }
  return results;
}
