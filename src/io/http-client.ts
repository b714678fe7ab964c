/**
 * The HTTP client of every role, on undici. Whatever a server sends is bounded in size and in time, also when it never
 * ends; redirects are followed only where the caller says so; a body that stops short is an error.
 */
import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { UpstreamError, UpstreamTimeoutError } from '../core/errors.ts';
import type { Room } from './body-rooms.ts';
import { collect } from './http-body.ts';
import { decoded } from './http-decode.ts';
import { createDispatch, type DispatchOptions } from './http-dispatch.ts';

export type HttpClientOptions = DispatchOptions & {
  /** Sent with every request. */
  readonly userAgent: string;
};

export type RequestOptions = {
  /** Default GET. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Bound of the answer's body, decoded. */
  readonly maxBytes: number;
  /** From the start to the answer's headers. Default 30 s. */
  readonly headersTimeoutMs?: number;
  /** Between two pieces of the body. Default 30 s. */
  readonly idleTimeoutMs?: number;
  /** For everything, redirects and body included; none by default. */
  readonly totalTimeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Asked by `request` before it holds more of a body; meanwhile no more of it is read. */
  readonly room?: Room | undefined;
  /** What is asked for, in words, for errors: `packument of express`. Default: method and URL. */
  readonly what?: string;
  /** Says whether a redirect from one URL to the next is followed. Without it, redirects are answers like others. */
  readonly follow?: (to: URL, from: URL) => boolean;
};

/** Header names in lower case; repeated ones joined by `, `. */
export type ResponseHead = {
  readonly url: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
};
export type HttpResponse = ResponseHead & { readonly body: Uint8Array };
/** The body must be read to its end or destroyed; else its connection is held until the time-out. */
export type HttpStream = ResponseHead & { readonly body: StreamedBody };
export type StreamedBody = AsyncIterable<Uint8Array> & { destroy(): void };

/**
 * Both methods throw UpstreamTimeoutError when time runs out, UpstreamError for everything else that keeps an answer
 * from arriving whole and within its bound, and the signal's reason once it aborts.
 * Bodies are decoded (gzip, deflate, br, zstd); their `content-encoding` and `content-length` are then left out.
 */
export type HttpClient = {
  /** The whole answer. */
  request(url: string, options: RequestOptions): Promise<HttpResponse>;
  /** Resolves at the headers; errors of the body are thrown while it is read. */
  open(url: string, options: RequestOptions): Promise<HttpStream>;
  close(): Promise<void>;
};

const HEADERS_TIMEOUT_MS = 30_000;
const IDLE_TIMEOUT_MS = 30_000;
const REDIRECTS_MAX = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export function createHttpClient(options: HttpClientOptions): HttpClient {
  const dispatch = createDispatch(options);
  const open = (url: string, request: RequestOptions): Promise<HttpStream> => {
    const exchange = new Exchange(request, url);
    return exchange.open(url, (target) => dispatch.dispatcherFor(target), options.userAgent);
  };
  return {
    open,
    request: async (url, request) => {
      const { body, ...head } = await open(url, request);
      const facts = { announced: Number(head.headers['content-length'] ?? 0), room: request.room };
      return { ...head, body: await collect(body, request.maxBytes, () => tooLarge(request, url), facts) };
    },
    close: () => dispatch.close(),
  };
}

/** One request with its redirects, its deadline, and the words for its errors. */
class Exchange {
  readonly #options: RequestOptions;
  readonly #what: string;
  readonly #abort = new AbortController();
  readonly #onCallerAbort: () => void;
  #timer: NodeJS.Timeout | undefined;
  #timedOut: string | null = null;

  constructor(options: RequestOptions, url: string) {
    this.#options = options;
    this.#what = whatOf(options, url);
    this.#onCallerAbort = () => this.#abort.abort(options.signal?.reason);
    options.signal?.addEventListener('abort', this.#onCallerAbort, { once: true });
    if (options.signal?.aborted) this.#onCallerAbort();
  }

  async open(url: string, dispatcherFor: (url: URL) => Dispatcher, userAgent: string): Promise<HttpStream> {
    const { totalTimeoutMs, headersTimeoutMs = HEADERS_TIMEOUT_MS } = this.#options;
    const started = performance.now();
    this.#arm(Math.min(headersTimeoutMs, totalTimeoutMs ?? Number.POSITIVE_INFINITY), 'no answer');
    try {
      const found = await this.#follow(new URL(url), dispatcherFor, userAgent);
      this.#disarm();
      if (totalTimeoutMs !== undefined) this.#arm(totalTimeoutMs - (performance.now() - started), 'no whole answer');
      return this.#stream(found);
    } catch (error) {
      this.#end();
      throw this.#errorOf(error);
    }
  }

  async #follow(url: URL, dispatcherFor: (url: URL) => Dispatcher, userAgent: string): Promise<Found> {
    let from = url;
    for (let hop = 0; ; hop++) {
      const answer = await this.#send(from, dispatcherFor(from), userAgent);
      const target = this.#options.follow === undefined ? null : targetOf(answer, from);
      if (target === null) return { url: from, answer };
      answer.body.on('error', () => undefined).destroy();
      if (hop === REDIRECTS_MAX) throw this.#error(`redirects more than ${REDIRECTS_MAX} times`);
      if (!this.#options.follow?.(target, from))
        throw this.#error(`redirects to ${target.origin}, which is not allowed`);
      from = target;
    }
  }

  /** A kept connection may have been closed by the server in the moment of its reuse: that is worth a second try. */
  async #send(url: URL, dispatcher: Dispatcher, userAgent: string): Promise<Dispatcher.ResponseData> {
    const { method = 'GET', headers = {}, body, idleTimeoutMs = IDLE_TIMEOUT_MS } = this.#options;
    const request: Dispatcher.RequestOptions = {
      origin: url.origin,
      path: url.pathname + url.search,
      method: method as Dispatcher.HttpMethod,
      headers: { 'user-agent': userAgent, ...headers },
      body: body ?? null,
      headersTimeout: 0,
      bodyTimeout: idleTimeoutMs,
      signal: this.#abort.signal,
    };
    try {
      return await dispatcher.request(request);
    } catch (error) {
      if (!isStaleConnection(error) || body !== undefined) throw error;
      return dispatcher.request(request);
    }
  }

  #stream({ url, answer }: Found): HttpStream {
    const headers = flat(answer.headers);
    const { maxBytes } = this.#options;
    // The length that an answer to HEAD states is that of a body which doesn't come.
    const isHead = this.#options.method === 'HEAD';
    const refuse = (error: unknown): never => {
      answer.body.on('error', () => undefined).destroy();
      throw error;
    };
    if (!isHead && Number(headers['content-length'] ?? 0) > maxBytes) refuse(tooLarge(this.#options, url.href));
    const body = attempt(() => decoded(answer.body, headers['content-encoding'], isHead), refuse);
    return {
      url: url.href,
      status: answer.statusCode,
      headers: body === answer.body ? headers : withoutCoding(headers),
      body: this.#bounded(body, maxBytes, url.href),
    };
  }

  #bounded(source: Readable, maxBytes: number, url: string): StreamedBody {
    const end = (): void => this.#end();
    const errorOf = (error: unknown): unknown => this.#errorOf(error);
    const options = this.#options;
    async function* read(): AsyncGenerator<Uint8Array> {
      let size = 0;
      try {
        for await (const piece of source as AsyncIterable<Uint8Array>) {
          size += piece.length;
          if (size > maxBytes) throw tooLarge(options, url);
          yield piece;
        }
      } catch (error) {
        throw errorOf(error);
      } finally {
        end();
      }
    }
    const destroy = (): void => {
      source.on('error', () => undefined).destroy();
      end();
    };
    return { [Symbol.asyncIterator]: read, destroy };
  }

  #arm(ms: number, reason: string): void {
    if (!Number.isFinite(ms)) return;
    this.#timer = setTimeout(
      () => {
        this.#timedOut = `${reason} within its time`;
        this.#abort.abort();
      },
      Math.max(0, ms),
    );
  }

  #disarm(): void {
    clearTimeout(this.#timer);
  }

  #end(): void {
    this.#disarm();
    this.#options.signal?.removeEventListener('abort', this.#onCallerAbort);
  }

  #errorOf(error: unknown): unknown {
    if (this.#options.signal?.aborted) return this.#options.signal.reason;
    if (this.#timedOut !== null) return new UpstreamTimeoutError({ what: this.#what, reason: this.#timedOut });
    if (error instanceof UpstreamError) return error;
    const code = (error as NodeJS.ErrnoException).code ?? '';
    const facts = { what: this.#what, reason: REASONS[code] ?? reasonOf(error) };
    return TIMEOUTS.has(code)
      ? new UpstreamTimeoutError(facts, { cause: error })
      : new UpstreamError(facts, { cause: error });
  }

  #error(reason: string): UpstreamError {
    return new UpstreamError({ what: this.#what, reason });
  }
}

type Found = { readonly url: URL; readonly answer: Dispatcher.ResponseData };

const TIMEOUTS = new Set(['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT']);

const REASONS: Readonly<Record<string, string>> = {
  UND_ERR_CONNECT_TIMEOUT: 'no connection within its time',
  UND_ERR_BODY_TIMEOUT: 'the answer stopped half-way',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the answer is shorter or longer than announced',
  UND_ERR_SOCKET: 'the connection was closed before the answer was complete',
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was closed before the answer was complete',
  ENOTFOUND: 'its host name is not known',
  EAI_AGAIN: 'its host name could not be looked up',
  Z_DATA_ERROR: 'the answer is not validly compressed',
  Z_BUF_ERROR: 'the compressed answer ends too early',
};

/** undici wraps what several addresses of one name said. */
function reasonOf(error: unknown): string {
  const { errors, message, cause } = error as AggregateError;
  const first = errors?.[0] ?? cause;
  const code = (first as NodeJS.ErrnoException | undefined)?.code ?? '';
  return REASONS[code] ?? (message || String(first ?? error));
}

function isStaleConnection(error: unknown): boolean {
  return ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');
}

function attempt<T>(task: () => T, failed: (error: unknown) => never): T {
  try {
    return task();
  } catch (error) {
    return failed(error);
  }
}

function targetOf(answer: Dispatcher.ResponseData, from: URL): URL | null {
  const { location } = flat(answer.headers);
  return REDIRECTS.has(answer.statusCode) && location !== undefined ? URL.parse(location, from) : null;
}

function flat(headers: Dispatcher.ResponseData['headers']): Record<string, string> {
  const entries = Object.entries(headers).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : `${value}`]),
  );
}

function withoutCoding(headers: Record<string, string>): Record<string, string> {
  const { 'content-encoding': _coding, 'content-length': _length, ...rest } = headers;
  return rest;
}

/** Credentials and queries of a URL are nobody's business in a log. */
function whatOf({ what, method = 'GET' }: RequestOptions, url: string): string {
  const { origin, pathname } = URL.parse(url) ?? { origin: '', pathname: url };
  return what ?? `${method} ${origin}${pathname}`;
}

function tooLarge(options: RequestOptions, url: string): UpstreamError {
  return new UpstreamError({
    what: whatOf(options, url),
    reason: `the answer is larger than ${options.maxBytes} bytes`,
  });
}
