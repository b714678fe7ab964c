/** One question to a server, asked and judged as a client does that meets it for the first time. */
import { Agent, type IncomingMessage, request } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import { UpstreamTimeoutError } from '../core/errors.ts';
import { refusePrivate, refusePrivateUrl } from './http-dispatch.ts';

export type VisitOptions = {
  readonly headers: Readonly<Record<string, string>>;
  /** For everything, the body included. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
};

/**
 * A GET on a connection of its own, through node's own HTTP client, which is npm's: what spoils an answer for npm is an error here,
 * such as bytes after its end. The body is left as it was sent, content codings are not undone, no redirect is followed.
 * `read` reads the body to its end or destroys it; what it returns counts only if nothing went wrong until then.
 * Throws UpstreamTimeoutError when time runs out, the signal's reason once it aborts, and node's own errors.
 */
export type Visit = <T>(
  url: string,
  options: VisitOptions,
  read: (answer: IncomingMessage) => Promise<T>,
) => Promise<T>;

/** `allowPrivate` false refuses private addresses, as the HTTP client does. */
export function createVisit(allowPrivate: boolean): Visit {
  return async (url, { headers, timeoutMs, signal }, read) => {
    const target = new URL(url);
    if (!allowPrivate) refusePrivateUrl(target);
    const abort = new AbortController();
    const stop = (): void => abort.abort(signal.reason);
    const late = { what: target.origin, reason: 'no whole answer within its time' };
    const timer = setTimeout(() => abort.abort(new UpstreamTimeoutError(late)), timeoutMs);
    signal.addEventListener('abort', stop, { once: true });
    try {
      signal.throwIfAborted();
      return await visit(target, { headers, signal: abort.signal, allowPrivate }, read);
    } catch (error) {
      throw abort.signal.aborted ? abort.signal.reason : error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  };
}

async function visit<T>(
  target: URL,
  { allowPrivate, ...options }: Omit<VisitOptions, 'timeoutMs'> & { readonly allowPrivate: boolean },
  read: (answer: IncomingMessage) => Promise<T>,
): Promise<T> {
  const isTls = target.protocol === 'https:';
  // Kept alive, or the request would say "Connection: close", which no client does.
  const agent = isTls ? new TlsAgent({ keepAlive: true }) : new Agent({ keepAlive: true });
  const asked = (isTls ? tlsRequest : request)(target, { ...options, agent });
  if (!allowPrivate) asked.once('socket', refusePrivate);
  const failed = new Promise<never>((_, reject) => {
    asked.on('error', reject);
    // Without a listener neither an answer nor an error would come.
    asked.once('upgrade', (_answer, socket) => {
      socket.destroy();
      reject(new Error('the answer switches to another protocol'));
    });
  });
  const answered = new Promise<IncomingMessage>((resolve) => asked.once('response', resolve));
  failed.catch(() => undefined);
  try {
    asked.end();
    const answer = await Promise.race([failed, answered]);
    return await Promise.race([failed, read(answer)]);
  } finally {
    asked.destroy();
    agent.destroy();
  }
}
