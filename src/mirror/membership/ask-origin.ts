/** Questions to the origin that have one short answer, and requests to it that are signed as this host. */
import { randomBytes } from 'node:crypto';
import { ForbiddenError, UnauthorizedError, UpstreamError } from '../../core/errors.ts';
import { signRequest } from '../../core/http-signature.ts';
import { CONTROL_ANSWER_BYTES_MAX, NOTE_BYTES_MAX } from '../../core/limits.ts';
import type { HttpClient } from '../../io/http-client.ts';
import type { HostKeys } from '../../io/key-file.ts';

/** For an answer of at most a megabyte, ms. */
const TOTAL_TIMEOUT_MS = 15_000;

export type HostSigner = {
  /** Headers that make the request one of this host; `body` null for a request without content. */
  headers(method: string, path: string, body: Uint8Array | null): Record<string, string>;
};

/** @param now unix ms */
export function createHostSigner(keys: HostKeys, logName: string, now: () => number): HostSigner {
  return {
    headers(method, path, body) {
      const created = Math.floor(now() / 1000);
      const nonce = randomBytes(18).toString('base64url');
      return signRequest({ method, path, body, logName, keyId: keys.hostId, created, nonce }, keys.identity.sign);
    },
  };
}

/**
 * A signed note of the origin.
 * @throws UpstreamError for any other answer
 */
export async function fetchNote(client: HttpClient, origin: string, path: string): Promise<Uint8Array> {
  const what = `${path} of ${origin}`;
  const options = { maxBytes: NOTE_BYTES_MAX, totalTimeoutMs: TOTAL_TIMEOUT_MS, what };
  const { status, body } = await client.request(`${origin}${path}`, options);
  if (status !== 200) throw new UpstreamError({ what, reason: `it answered with status ${status}` });
  return body;
}

/**
 * Posts a signed control request.
 * @returns the answer's body
 * @throws ForbiddenError or UnauthorizedError with the origin's own words if it refuses; UpstreamError for anything else
 */
export async function postSigned(
  client: HttpClient,
  origin: string,
  path: string,
  body: Uint8Array,
  signer: HostSigner,
): Promise<Uint8Array> {
  const headers = { 'content-type': 'application/json', ...signer.headers('POST', path, body) };
  const options = {
    method: 'POST',
    headers,
    body,
    maxBytes: CONTROL_ANSWER_BYTES_MAX,
    totalTimeoutMs: TOTAL_TIMEOUT_MS,
  };
  const answer = await client.request(`${origin}${path}`, options);
  if (answer.status === 200 || answer.status === 202) return answer.body;
  throw refusalOf(answer.status, answer.body, `${path} of ${origin}`);
}

/** The origin's refusal as an error of its own kind, in its own words. */
export function refusalOf(status: number, body: Uint8Array, what: string): Error {
  const reason = reasonOf(body) ?? `it answered with status ${status}`;
  if (status === 401) return new UnauthorizedError(`${what}: ${reason}`);
  if (status === 403) return new ForbiddenError(`${what}: ${reason}`);
  return new UpstreamError({ what, reason });
}

function reasonOf(body: Uint8Array): string | null {
  try {
    const { error } = JSON.parse(new TextDecoder().decode(body)) as { error?: unknown };
    return typeof error === 'string' ? error.slice(0, 500) : null;
  } catch {
    return null;
  }
}
