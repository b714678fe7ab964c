/** Reading the origin's change feed. While a host has it open it counts as present; anybody may listen. */
import { type FeedEvent, FeedParser } from '../../core/event-stream.ts';
import { CONTROL_ANSWER_BYTES_MAX } from '../../core/limits.ts';
import type { HttpClient, StreamedBody } from '../../io/http-client.ts';
import { type HostSigner, refusalOf } from './ask-origin.ts';

const PATH = '/-/federation/changes';
/** Three pings missed: the connection is dead, even if nobody closed it. */
const IDLE_TIMEOUT_MS = 45_000;
const HEADERS_TIMEOUT_MS = 15_000;

/**
 * Opens the feed and hands over its events until it ends. Resolves when the origin ends it.
 * @param options `signer`: as which host; null as nobody. `lastEventId`: of the checkpoint that is held, which needs not
 * be told again. `opened` is called once the origin has accepted
 * @throws ForbiddenError or UnauthorizedError if the origin refuses, UpstreamError or UpstreamTimeoutError if it breaks,
 * the signal's reason once that aborts
 */
export async function followFeed(options: {
  readonly client: HttpClient;
  readonly origin: string;
  readonly signer: HostSigner | null;
  readonly lastEventId: string | null;
  readonly signal: AbortSignal;
  readonly opened: () => void;
  readonly event: (event: FeedEvent) => void;
}): Promise<void> {
  const { client, origin, signer, lastEventId, signal } = options;
  const { status, body } = await client.open(`${origin}${PATH}`, {
    headers: {
      ...{ accept: 'text/event-stream', 'accept-encoding': 'identity' },
      ...(lastEventId === null ? {} : { 'last-event-id': lastEventId }),
      ...signer?.headers('GET', PATH, null),
    },
    maxBytes: Number.MAX_SAFE_INTEGER,
    headersTimeoutMs: HEADERS_TIMEOUT_MS,
    idleTimeoutMs: IDLE_TIMEOUT_MS,
    signal,
  });
  if (status !== 200) throw refusalOf(status, await firstBytes(body), `${PATH} of ${origin}`);
  options.opened();
  const parser = new FeedParser();
  for await (const bytes of body) parser.push(bytes).forEach(options.event);
}

async function firstBytes(body: StreamedBody): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body) {
    parts.push(part);
    size += part.length;
    if (size > CONTROL_ANSWER_BYTES_MAX) break;
  }
  body.destroy();
  return Buffer.concat(parts);
}
