import { randomBytes } from 'node:crypto';
import { UpstreamError } from '../../core/errors.ts';
import { CONTROL_ANSWER_BYTES_MAX } from '../../core/limits.ts';
import { type Application, checkIdentity } from '../../core/membership.ts';
import type { HttpClient } from '../../io/http-client.ts';

const TOTAL_TIMEOUT_MS = 10_000;

/**
 * Asks the host at the URL that it applied with to sign a nonce. No redirect is followed, so that a host can't send us
 * elsewhere, and the client refuses private addresses unless they are allowed.
 * @throws UpstreamError if it doesn't answer, UnauthorizedError or MalformedError if the answer is no proof
 */
export async function proveHost(client: HttpClient, { url, key }: Application, logName: string): Promise<void> {
  const nonce = randomBytes(18).toString('base64url');
  const what = `proof of ${url}`;
  const options = { maxBytes: CONTROL_ANSWER_BYTES_MAX, totalTimeoutMs: TOTAL_TIMEOUT_MS, what };
  const { status, body } = await client.request(`${url}/-/federation/identity/${nonce}`, options);
  if (status !== 200) throw new UpstreamError({ what, reason: `it answered with status ${status}` });
  checkIdentity(body, { url, key, nonce, logName });
}
