/** Putting an answer on the wire: whole bytes, streams with back-pressure, and errors as JSON. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import { FederationError, UpstreamError } from '../core/errors.ts';

/**
 * What a handler answers. A body that is bytes gets its `content-length`; one that is an iterable is pulled only as fast
 * as the client reads, and every piece is handed to the socket at once (server-sent events). An iterable that throws
 * cuts the connection, so that no client takes half a body for a whole one. For HEAD the body is dropped.
 */
export type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | AsyncIterable<Uint8Array> | null;
  /** Called once when the answer is through, and also when the client left early. */
  readonly onClose?: () => void;
};

/** The JSON that every error is told in: `error` is what npm prints, the rest is RFC 9457. */
export type Problem = {
  readonly error: string;
  readonly code: string;
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly detail: string;
};

/** An error as an answer. Errors are never stored by caches: what is missing now may be learned a moment later. */
export function problemAnswer(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const title = STATUS_CODES[status] ?? 'Error';
  const problem: Problem = { error: message, code, type: 'about:blank', title, status, detail: message };
  return jsonAnswer(status, problem, { 'cache-control': 'no-store', ...headers });
}

/** A value as a JSON answer. */
export function jsonAnswer(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  const body = Buffer.from(JSON.stringify(value));
  return { status, headers: { 'content-type': 'application/json; charset=utf-8', ...headers }, body };
}

/** The one place where an error becomes a status. Returns null for an error that is a fault of this program. */
export function answerOfError(error: unknown): Answer | null {
  if (!(error instanceof FederationError)) return null;
  return problemAnswer(error.status, error.code, error.message, headersOf(error));
}

function headersOf(error: FederationError): Readonly<Record<string, string>> {
  if (error.status === 401) return CHALLENGE;
  const seconds = error instanceof UpstreamError ? error.retryAfterSeconds : null;
  return seconds === null ? {} : { 'retry-after': String(seconds) };
}

/** RFC 9110 section 15.5.2 wants a challenge with every 401. */
const CHALLENGE = { 'www-authenticate': 'Bearer realm="open-registry"' };

/**
 * Sends `answer`. Returns at once; the response's `close` event tells the end.
 * @param onBroken told why a streamed body ended early; not called when the client left
 */
export function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  onBroken: (error: unknown) => void,
): void {
  const { status, headers, body, onClose } = answer;
  if (response.destroyed) abandon(answer);
  else {
    if (onClose !== undefined) response.once('close', onClose);
    if (body instanceof Uint8Array) sendBytes(request, response, answer, body);
    else if (body !== null) sendStream(request, response, answer, body, onBroken);
    else response.writeHead(status, headers).end();
  }
}

/** The client left while the answer was being made. */
function abandon({ body, onClose }: Answer): void {
  if (body !== null && !(body instanceof Uint8Array)) discard(body, body[Symbol.asyncIterator]());
  onClose?.();
}

function sendBytes(request: IncomingMessage, response: ServerResponse, answer: Answer, body: Uint8Array): void {
  response.writeHead(answer.status, { ...answer.headers, 'content-length': String(body.length) });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function sendStream(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers }: Answer,
  body: AsyncIterable<Uint8Array>,
  onBroken: (error: unknown) => void,
): void {
  response.writeHead(status, headers);
  if (request.method !== 'HEAD') pump(body, response, onBroken);
  else {
    discard(body, body[Symbol.asyncIterator]());
    response.end();
  }
}

/**
 * Copies a body piece by piece. The source is let go as soon as the client is gone, even while it is waiting for its
 * next piece: an event stream may wait for ever.
 */
function pump(body: AsyncIterable<Uint8Array>, response: ServerResponse, onBroken: (error: unknown) => void): void {
  const iterator = body[Symbol.asyncIterator]();
  let ended = false;
  response.once('close', () => {
    if (!ended) discard(body, iterator);
  });
  response.flushHeaders();
  copy(iterator, response).then(
    () => {
      ended = true;
      response.end();
    },
    (error) => {
      if (!response.destroyed) onBroken(error);
      ended = true;
      response.destroy();
    },
  );
}

async function copy(iterator: AsyncIterator<Uint8Array>, response: ServerResponse): Promise<void> {
  for (;;) {
    const { done, value } = await iterator.next();
    if (done || response.destroyed || response.writableEnded) return;
    if (!response.write(value)) await drained(response);
  }
}

/** Resolves when there is room again, or when nobody reads any more. */
function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

/** A generator that waits would run `return` only after its next piece; a stream can be destroyed at once. */
function discard(body: AsyncIterable<Uint8Array>, iterator: AsyncIterator<Uint8Array>): void {
  const stream = body as { destroy?: () => void };
  if (typeof stream.destroy === 'function') stream.destroy();
  else void iterator.return?.()?.catch?.(() => undefined);
}
