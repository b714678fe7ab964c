/** Content by its SHA-256: stored here, or from the first source that has it. Whoever sends it is not believed. */

import { IntegrityError, UpstreamError } from '../../core/errors.ts';
import { sha256Hex } from '../../core/hash.ts';
import type { BlobStore } from '../../io/blob-store.ts';
import type { HttpClient } from '../../io/http-client.ts';
import { inParallel } from '../../io/in-parallel.ts';

export type ContentFetcher = {
  /**
   * Bytes with that SHA-256.
   * @param path under `/-/federation/`, where sources have them
   * @throws UpstreamError, UpstreamTimeoutError when no source has them; IntegrityError for other bytes than those
   */
  at(path: string, hash: string, maxBytes: number): Promise<Uint8Array>;
  /** The same for what is a blob like any other. */
  blob(hash: string, maxBytes: number): Promise<Uint8Array>;
};

const TIMEOUT_MS = 60_000;

export function createContentFetcher(deps: {
  /** Where some of it may be stored. */
  readonly stored: readonly Pick<BlobStore, 'read'>[];
  readonly client: HttpClient;
  /** Base URLs, in the order in which to try them. */
  readonly sources: readonly string[];
  /** Where to store what was fetched, for others to fetch. */
  readonly keep?: Pick<BlobStore, 'putMany'>;
  readonly signal?: AbortSignal;
}): ContentFetcher {
  const { client, sources, keep, signal } = deps;

  async function ask(source: string, path: string, hash: string, maxBytes: number): Promise<Uint8Array> {
    const url = `${source}/-/federation/${path}`;
    const headers = { 'accept-encoding': 'zstd, gzip' };
    const { status, body } = await client.request(url, {
      ...{ headers, maxBytes, totalTimeoutMs: TIMEOUT_MS },
      ...(signal ? { signal } : {}),
    });
    if (status !== 200) throw new UpstreamError({ what: url, reason: `it answered with status ${status}` });
    const actual = sha256Hex(body);
    if (actual === hash) {
      await keep?.putMany([{ id: { algorithm: 'sha256', hex: hash }, bytes: body }]);
      return body;
    }
    throw new IntegrityError({ expected: `sha256:${hash}`, actual: `sha256:${actual}`, source });
  }

  async function at(path: string, hash: string, maxBytes: number): Promise<Uint8Array> {
    for (const store of deps.stored) {
      const bytes = await store.read({ algorithm: 'sha256', hex: hash });
      if (bytes) return bytes;
    }
    let failure: unknown = new UpstreamError({ what: `/-/federation/${path}`, reason: 'no source is known' });
    for (const source of sources) {
      try {
        return await ask(source, path, hash, maxBytes);
      } catch (error) {
        signal?.throwIfAborted();
        failure = error;
      }
    }
    throw failure;
  }

  return { at, blob: (hash, maxBytes) => at(`blob/sha256/${hash}`, hash, maxBytes) };
}

/** So many at the same time, of one package. */
const PARALLEL = 8;

/** The results of a task for each item, in the items' order. */
export async function eachOf<T, R>(items: readonly T[], task: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  await inParallel(items.entries(), PARALLEL, async ([at, item]) => {
    results[at] = await task(item);
  });
  return results;
}
