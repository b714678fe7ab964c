/**
 * What a mirror's door passes on to its origin: writes, logins, audits, search. The users' credentials go along, which is
 * why only an origin that nobody else can listen to gets them.
 */
import { ForbiddenError } from '../core/errors.ts';
import { CACHE } from '../core/http-semantics.ts';
import { isLoopbackHostname } from '../core/ip.ts';
import type { HttpClient } from '../io/http-client.ts';
import type { Answer, Incoming } from '../io/http-server.ts';

const CREDENTIALS = ['authorization', 'cookie', 'npm-otp'] as const;
const PASSED_ON = ['accept', 'content-type', 'content-encoding', 'npm-auth-type', 'npm-command', 'user-agent'] as const;
const PASSED_BACK = ['content-type', 'npm-notice', 'retry-after', 'www-authenticate', 'location'] as const;
const TIMEOUT_MS = 120_000;

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
    const answer = await client.request(origin + incoming.url, {
      method: incoming.method,
      headers: { ...headersOf(incoming, PASSED_ON), ...credentials },
      ...(body ? { body } : {}),
      maxBytes: bodyBytesMax,
      totalTimeoutMs: TIMEOUT_MS,
      signal: incoming.signal,
      what: `${incoming.kind} at the origin`,
    });
    const headers = Object.fromEntries(
      PASSED_BACK.flatMap((name) => (answer.headers[name] ? [[name, answer.headers[name]]] : [])),
    );
    return { status: answer.status, headers: { ...headers, 'cache-control': CACHE.noStore }, body: answer.body };
  };
}

function headersOf({ headers }: Incoming, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => (typeof headers[name] === 'string' ? [[name, headers[name]]] : [])),
  );
}
