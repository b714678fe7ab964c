/** A request as handlers see it: made from node's once, and lazily where most handlers don't look. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { networkOf } from '../core/ip.ts';
import { readBody } from './http-body.ts';

/** One request as handlers see it. */
export type Incoming = {
  readonly method: string;
  /** Path and query as they came, not decoded; the origin form, also when the request line held a whole URL. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** The client's address; behind a trusted proxy the one that it names. */
  readonly address: string;
  /** The client's network (/24, /48): what logs and counters may keep. */
  readonly network: string;
  /** `Host` as sent, or the authority of an absolute request target (RFC 9112 section 3.2.2). */
  readonly hostHeader: string;
  /** Aborts when the client leaves before the answer is complete. */
  readonly signal: AbortSignal;
  /** What the handler took the request for; names the counter and the log line. */
  kind: string;
  /** The whole body as sent, content coding not undone. Throws TooLargeError past `maxBytes`. */
  body(maxBytes: number): Promise<Uint8Array>;
};

/** The request that the server makes; it alone may say that the connection is gone. */
export class IncomingRequest implements Incoming {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly address: string;
  readonly hostHeader: string;
  kind = 'other';
  bodyRefused = false;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  #network: string | undefined;
  #abort: AbortController | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, target: string, address: string) {
    const { url, authority } = originForm(target);
    this.method = request.method ?? '';
    this.url = url;
    this.headers = request.headers;
    this.hostHeader = authority ?? request.headers.host ?? '';
    this.address = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
    this.#request = request;
    this.#response = response;
  }

  get network(): string {
    const network = this.#network ?? networkOf(this.address);
    this.#network = network;
    return network;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#response.destroyed && !this.#response.writableFinished) this.#abort.abort();
    return this.#abort.signal;
  }

  async body(maxBytes: number): Promise<Uint8Array> {
    try {
      return await readBody(this.#request, maxBytes);
    } catch (error) {
      this.bodyRefused = true;
      throw error;
    }
  }

  closed(complete: boolean): void {
    if (!complete) this.#abort?.abort();
  }
}

/** RFC 9112 section 3.2: proxies' clients send whole URLs; what they ask of us is the part after the authority. */
function originForm(target: string): { url: string; authority: string | null } {
  const match = /^https?:\/\/([^/?#]*)(.*)$/is.exec(target);
  if (match === null) return { url: target, authority: null };
  const rest = match[2] ?? '';
  return { url: rest.startsWith('/') ? rest : `/${rest}`, authority: match[1] ?? '' };
}
