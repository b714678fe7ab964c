/**
 * What a mirror's door passes on to its origin: writes, logins, audits, search, the feed of changes. The users' credentials
 * go along, which is why only an origin that nobody else can listen to gets them.
 */
import { ForbiddenError } from '../../core/errors.ts';
import { CACHE } from '../../core/http-semantics.ts';
import { isLoopbackHostname } from '../../core/ip.ts';
import type { HttpClient, RequestOptions, ResponseHead } from '../../io/http-client.ts';
import type { Answer, Incoming } from '../../io/http-server.ts';

const CREDENTIALS = ['authorization', 'cookie', 'npm-otp'] as const;
const PASSED_ON = [
  ...(['accept', 'content-type', 'content-encoding', 'if-none-match'] as const),
  ...(['npm-auth-type', 'npm-command', 'user-agent'] as const),
];
const PASSED_BACK = ['content-type', 'etag', 'npm-notice', 'retry-after', 'www-authenticate', 'location'] as const;
const TIMEOUT_MS = 120_000;
/** A feed need not end; but it is never silent for longer than two minutes (core/npm-changes.ts). */
const FEED_BOUNDS = { maxBytes: Number.MAX_SAFE_INTEGER, headersTimeoutMs: 150_000, idleTimeoutMs: 150_000 };

/** @param bodyBytesMax bound of what clients may send, and of what the origin may answer */
export function createForward(deps: {
  origin: string;
  client: HttpClient;
  bodyBytesMax: number;
}): (incoming: Incoming) => Promise<Answer> {
  const { origin, client, bodyBytesMax } = deps;
  const { protocol, hostname } = new URL(origin);
  const isPrivate = protocol === 'https:' || isLoopbackHostname(hostname);

  return async (incoming) => {
    const credentials = headersOf(incoming, CREDENTIALS);
    if (Object.keys(credentials).length > 0 && !isPrivate) {
      throw new ForbiddenError(`credentials are not passed on to ${origin}, because that is not https`);
    }
    const body = ['GET', 'HEAD'].includes(incoming.method) ? undefined : await incoming.body(bodyBytesMax);
    const options = {
      method: incoming.method,
      headers: { ...headersOf(incoming, PASSED_ON), ...credentials },
      ...(body ? { body } : {}),
      signal: incoming.signal,
      what: `${incoming.kind} at the origin`,
    };
    const answer = await send(
      client,
      origin + incoming.url,
      options,
      incoming.kind === 'changes' ? null : bodyBytesMax,
    );
    const headers = Object.fromEntries(
      PASSED_BACK.flatMap((name) => (answer.headers[name] ? [[name, answer.headers[name]]] : [])),
    );
    return { status: answer.status, headers: { ...headers, 'cache-control': CACHE.noStore }, body: answer.body };
  };
}

/** @param maxBytes of the answer, which is taken whole; null for one that may go on without an end */
async function send(
  client: HttpClient,
  url: string,
  options: Omit<RequestOptions, 'maxBytes'>,
  maxBytes: number | null,
): Promise<ResponseHead & Pick<Answer, 'body'>> {
  if (maxBytes !== null) return client.request(url, { ...options, maxBytes, totalTimeoutMs: TIMEOUT_MS });
  const answer = await client.open(url, { ...options, ...FEED_BOUNDS });
  if (answer.status !== 304) return answer;
  answer.body.destroy();
  return { ...answer, body: null };
}

function headersOf({ headers }: Incoming, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => (typeof headers[name] === 'string' ? [[name, headers[name]]] : [])),
  );
}
