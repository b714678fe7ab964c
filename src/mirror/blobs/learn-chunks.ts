/** What was measured of a tarball, so that its parts can be checked before they are sent on. */

import { chunkListBytes } from '../../core/chunks.ts';
import { IntegrityError, UpstreamError } from '../../core/errors.ts';
import { sha256Hex } from '../../core/hash.ts';
import { CONTROL_ANSWER_BYTES_MAX } from '../../core/limits.ts';
import { type ChunkFacts, type Measured, openChunkList, parseMeasured } from '../../core/measured.ts';
import type { HttpClient } from '../../io/http-client.ts';

/** A client waits for its first byte meanwhile, and can do without. */
const TIMEOUT_MS = 3_000;

/** What the log says of a tarball's bytes; null for nothing. */
export type MeasuredReader = (sha512: string) => Promise<Omit<Measured, 'pinned'> | null>;

/**
 * The log says it, and else the origin, which may have measured the tarball a moment ago. The list itself is the origin's,
 * too: it has the hash by which it is asked for.
 * @throws UpstreamError, MalformedError, IntegrityError if they can't be had
 */
export async function learnChunks(
  client: HttpClient,
  origin: string,
  sha512: string,
  logged: MeasuredReader,
): Promise<ChunkFacts> {
  const measured = (await logged(sha512)) ?? (await measuredAtOrigin(client, origin, sha512));
  const source = `${origin}/-/federation/blob/sha256/${measured.list}`;
  const list = await ask(client, source, chunkListBytes(measured.size));
  const actual = sha256Hex(list);
  if (actual === measured.list) return openChunkList(measured, list);
  throw new IntegrityError({ expected: `sha256:${measured.list}`, actual: `sha256:${actual}`, source });
}

async function measuredAtOrigin(client: HttpClient, origin: string, sha512: string): Promise<Measured> {
  return parseMeasured(
    await ask(client, `${origin}/-/federation/measured/${sha512}`, CONTROL_ANSWER_BYTES_MAX),
    sha512,
  );
}

async function ask(client: HttpClient, url: string, maxBytes: number): Promise<Uint8Array> {
  const { status, body } = await client.request(url, { maxBytes, totalTimeoutMs: TIMEOUT_MS });
  if (status === 200) return body;
  throw new UpstreamError({ what: url, reason: `it answered with status ${status}` });
}
