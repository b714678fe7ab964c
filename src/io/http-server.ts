/**
 * The HTTP edge of every role: fastify's life cycle with one handler. Its router is kept out of the way, because npm's
 * paths (`@scope%2fname`, malformed escapes that deserve a clear answer) are read by core/npm-path, and its body
 * parsers too, because each route knows its own limit. It stays the place to hang plugins on: they see every request.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import fastify from 'fastify';
import type { Logger } from 'pino';
import { URL_LENGTH_MAX } from '../core/limits.ts';
import { type Answer, answerOfError, problemAnswer, sendAnswer } from './http-answer.ts';
import { bind, type ConnectionTimes, portOf } from './http-listen.ts';
import { type Incoming, IncomingRequest } from './http-request.ts';
import { Turns } from './http-turns.ts';
import type { Metrics } from './metrics.ts';

export { type Answer, jsonAnswer, problemAnswer } from './http-answer.ts';
export type { Incoming } from './http-request.ts';

export type Handler = (incoming: Incoming) => Promise<Answer>;

export type HttpServerOptions = {
  /** Name for logs: `origin`, `mirror`. */
  readonly role: string;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** CIDRs of proxies whose `X-Forwarded-For` is believed. */
  readonly trustProxy: readonly string[];
  readonly handler: Handler;
  /** This process's id in {@link VIA_HEADER}: requests that carry it are our own, come back. */
  readonly via?: string;
  /** How long `close()` lets running answers go on. */
  readonly drainMs?: number;
  /** Other times than usual for slow and idle connections. */
  readonly times?: Partial<ConnectionTimes>;
};

export type HttpServer = {
  /**
   * Binds, and resolves to the port. `localhost` means 127.0.0.1 and, where the machine has it, ::1.
   * @param port 0 picks a free one
   */
  listen(host: string, port: number): Promise<number>;
  /** Requests that are being answered, event streams included. */
  active(): number;
  /** Takes no more connections, ends idle ones and event streams, lets answers finish for `drainMs`, then resolves. */
  close(): Promise<void>;
};

/** Request header that names the processes a request has come through. */
export const VIA_HEADER = 'open-registry-via';
/** Code of the 508 answer to a request that has come back to its sender. */
const LOOP_CODE = 'loop-detected';

/** A random id for {@link HttpServerOptions.via}. */
export const newVia = (): string => randomBytes(16).toString('hex');

const DRAIN_MS = 10_000;
/** A server that answers every request, whatever its method or path, through `options.handler`. */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const serving = new Serving(options);
  const turns = new Turns();
  const app = fastify({
    trustProxy: options.trustProxy.length > 0 ? [...options.trustProxy] : false,
    rewriteUrl: () => '/',
    return503OnClosing: false,
  });
  app.addHook('onRequest', (request, reply, _done) => {
    reply.hijack();
    const { raw, originalUrl, ip } = request;
    turns.take(raw, reply.raw, () => serving.serve(raw, reply.raw, originalUrl, ip));
  });
  return {
    listen: async (host, port) => {
      await app.ready();
      const bound = await bind((request, response) => app.routing(request, response), host, port, options.times);
      serving.servers.push(...bound);
      return portOf(bound[0]);
    },
    active: () => serving.active.size,
    close: async () => {
      await serving.drain(options.drainMs ?? DRAIN_MS);
      await app.close();
    },
  };
}

/** The requests in progress of one server. */
class Serving {
  readonly active = new Set<{ response: ServerResponse; events: boolean }>();
  readonly servers: Server[] = [];
  readonly #options: HttpServerOptions;
  #closing = false;

  constructor(options: HttpServerOptions) {
    this.#options = options;
  }

  serve(request: IncomingMessage, response: ServerResponse, target: string, address: string): void {
    const entry = { response, events: false };
    const incoming = new IncomingRequest(request, response, target, address);
    const started = performance.now();
    this.active.add(entry);
    response.once('close', () => {
      this.active.delete(entry);
      // The connection becomes idle right after this event.
      if (this.#closing) setImmediate(() => this.#closeIdle());
      this.#record(incoming, response, performance.now() - started);
    });
    this.#answer(incoming).then((answer) => {
      entry.events = isEventStream(answer);
      this.#send(incoming, request, response, answer);
      if (this.#closing && entry.events) response.end();
    });
  }

  async #answer(incoming: IncomingRequest): Promise<Answer> {
    try {
      return refusal(incoming, this.#options.via) ?? (await this.#options.handler(incoming));
    } catch (error) {
      return answerOfError(error) ?? this.#fault(error, incoming);
    }
  }

  #send(incoming: IncomingRequest, request: IncomingMessage, response: ServerResponse, answer: Answer): void {
    // A body that was refused half-way would otherwise be read to its end before the connection is free again.
    if (incoming.bodyRefused || this.#closing) response.setHeader('connection', 'close');
    try {
      sendAnswer(request, response, answer, (error) => this.#broken(error, incoming));
    } catch (error) {
      if (response.headersSent) response.destroy();
      else sendAnswer(request, response, this.#fault(error, incoming), () => undefined);
    }
  }

  /** The caller gets an id, the log gets the error: a stack never leaves the process. */
  #fault(error: unknown, incoming: Incoming): Answer {
    const id = randomBytes(6).toString('hex');
    this.#options.logger.error({ err: error, fault: id, kind: incoming.kind }, 'request failed by a fault of ours');
    return problemAnswer(500, 'internal', `this registry failed on the request; its log says why under ${id}`);
  }

  #broken(error: unknown, incoming: Incoming): void {
    const { logger, metrics } = this.#options;
    metrics
      .counter('http_broken_answers_total', 'Bodies cut because their source failed', ['kind'])
      .inc({ kind: incoming.kind });
    logger.warn({ err: error, kind: incoming.kind, path: pathOf(incoming.url) }, 'answer cut short: its source failed');
  }

  #record(incoming: IncomingRequest, response: ServerResponse, ms: number): void {
    const { kind } = incoming;
    const complete = response.writableFinished;
    incoming.closed(complete);
    const status = String(response.headersSent ? response.statusCode : 499);
    this.#options.metrics.requests.inc({ kind, status });
    const { logger } = this.#options;
    if (!logger.isLevelEnabled('debug')) return;
    const { method, network } = incoming;
    logger.debug(
      { kind, method, path: pathOf(incoming.url), status: Number(status), complete, network, ms: Math.round(ms) },
      'request',
    );
  }

  /** Resolves when no connection is left; what has not finished after `drainMs` is cut. */
  async drain(drainMs: number): Promise<void> {
    this.#closing = true;
    const closed = this.servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const { response, events } of this.active) {
      if (events) response.end();
    }
    this.#closeIdle();
    const timer = setTimeout(() => {
      for (const server of this.servers) server.closeAllConnections();
    }, drainMs);
    await Promise.all(closed);
    clearTimeout(timer);
  }

  #closeIdle(): void {
    for (const server of this.servers) server.closeIdleConnections();
  }
}

/** What needs no handler to be refused. */
function refusal(incoming: Incoming, via: string | undefined): Answer | null {
  const { url, hostHeader, headers } = incoming;
  if (url.length > URL_LENGTH_MAX) {
    return problemAnswer(414, 'url-too-long', `the URL is longer than ${URL_LENGTH_MAX} characters`);
  }
  if (hostHeader === '') return problemAnswer(400, 'bad-request', 'the request has no Host header');
  const ids = headers[VIA_HEADER];
  if (via !== undefined && typeof ids === 'string' && ids.split(/[\s,]+/).includes(via)) {
    return problemAnswer(508, LOOP_CODE, 'this request came from this very server: its upstream is itself');
  }
  return null;
}

function pathOf(url: string): string {
  return url.split('?', 1)[0] ?? '';
}

function isEventStream(answer: Answer): boolean {
  return answer.headers['content-type']?.startsWith('text/event-stream') ?? false;
}
