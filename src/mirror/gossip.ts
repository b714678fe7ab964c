/**
 * Gossip: what this mirror tells of its checkpoint with each request to its origin and peers, and with each answer to a
 * request that carries one; and what it hears.
 */
import { CHECKPOINT_HEADER, formatCheckpointHeader, parseCheckpointHeader } from '../core/checkpoint-header.ts';
import { formatSignature, splitNote } from '../core/note.ts';
import type { HttpClient, HttpStream, RequestOptions } from '../io/http-client.ts';
import type { Answer, Handler, Incoming } from '../io/http-server.ts';
import type { LogFollower } from './log/log-follower.ts';

type Known = Pick<LogFollower, 'checkpoint' | 'hint'>;

export type Gossip = {
  /** A client whose requests to the origin and to peers carry our checkpoint. */
  client(client: HttpClient): HttpClient;
  /** A handler whose answers carry ours where the request carries one. */
  handler(handler: Handler): Handler;
  /** From here on there is something to tell. */
  attach(follower: Known): void;
};

/** @param urls base URLs of the origin and the peers: nobody else is told */
export function createGossip(urls: readonly string[]): Gossip {
  let follower: Known | null = null;
  const told = createTeller(() => follower?.checkpoint()?.note ?? null);
  const sourceOf = (url: string) => urls.find((base) => url.startsWith(`${base}/`)) ?? null;

  function tell(url: string, options: RequestOptions): RequestOptions {
    const header = sourceOf(url) === null ? null : told();
    return header === null ? options : { ...options, headers: { ...options.headers, [CHECKPOINT_HEADER]: header } };
  }

  function listen({ headers }: Pick<HttpStream, 'headers'>, url: string): void {
    const source = sourceOf(url);
    const note = source && parseCheckpointHeader(headers[CHECKPOINT_HEADER]);
    if (note) follower?.hint(note, source);
  }

  function answered(request: Incoming, answer: Answer): Answer {
    const note = parseCheckpointHeader(request.headers[CHECKPOINT_HEADER]);
    if (note === null) return answer;
    follower?.hint(note, null);
    const header = told();
    return header === null ? answer : { ...answer, headers: { ...answer.headers, [CHECKPOINT_HEADER]: header } };
  }

  return {
    client: (client) => ({
      open: async (url, options) => {
        const stream = await client.open(url, tell(url, options));
        listen(stream, url);
        return stream;
      },
      request: async (url, options) => {
        const response = await client.request(url, tell(url, options));
        listen(response, url);
        return response;
      },
      close: () => client.close(),
    }),
    handler: (handler) => async (request) => answered(request, await handler(request)),
    attach(known) {
      follower = known;
    },
  };
}

/** The header's value, worked out once for each checkpoint. */
function createTeller(note: () => string | null): () => string | null {
  let last: { readonly note: string; readonly header: string } | null = null;
  return () => {
    const now = note();
    if (now !== null && now !== last?.note) last = { note: now, header: formatCheckpointHeader(signedByLogOnly(now)) };
    return now === null ? null : (last?.header ?? null);
  };
}

/** Without cosignatures, which are many: a header must stay short, and who wants them asks for the checkpoint. */
function signedByLogOnly(note: string): string {
  const { text, signatures } = splitNote(note);
  const logName = text.slice(0, text.indexOf('\n'));
  const own = signatures.filter(({ name }) => name === logName).map(formatSignature);
  return `${text}\n${own.join('')}`;
}
