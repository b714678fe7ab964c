import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

/** One answer as it came: no redirect followed, no coding undone. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body parsed as JSON. */
  json<Value = Record<string, unknown>>(): Value;
  /** What npm would print of an error; empty if there is none. */
  readonly error: string;
}

export interface Question {
  readonly method?: string;
  /** `Host` among them replaces the one of the URL. */
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Uint8Array;
  /** The address that the connection comes from; another loopback network is another client. */
  readonly from?: string;
  /** The request target as it is sent, in place of the URL's own path. */
  readonly target?: string;
}

/** Asks a server on 127.0.0.1, by a connection of its own, exactly what is given: nothing normalised, added or followed. */
export function ask(url: string, question: Question = {}): Promise<Reply> {
  const { method = 'GET', headers = {}, body, from = '127.0.0.1', target } = question;
  const { port, host, pathname, search } = new URL(url);
  return new Promise((resolve, reject) => {
    const asking = request({
      ...{ host: '127.0.0.1', port, method, path: target ?? pathname + search, localAddress: from, agent: false },
      headers: { host, ...lengthOf(body, headers), ...headers },
    });
    asking.once('error', reject);
    asking.once('response', (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece) => pieces.push(piece));
      response.once('error', reject);
      response.once('end', () => resolve(replyOf(response.statusCode ?? 0, response.headers, Buffer.concat(pieces))));
    });
    asking.end(body);
  });
}

/** Asks as {@link ask}, and follows redirects as clients do: the question's own headers go along but for credentials. */
export async function follow(url: string, question: Question = {}): Promise<Reply & { readonly path: string[] }> {
  const path: string[] = [];
  let reply = await ask(url, question);
  const { authorization: _, host: __, ...headers } = question.headers ?? {};
  for (let at = url; reply.headers.location !== undefined && path.length < 5; ) {
    at = new URL(reply.headers.location, at).href;
    path.push(at);
    reply = await ask(at, { ...question, headers });
  }
  return { ...reply, path };
}

/** Sends bytes as they are to a port of 127.0.0.1, and answers with all that comes back until the server closes. */
export function sendRaw(port: number, bytes: string | Uint8Array): Promise<string> {
  const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
  return text(socket);
}

function lengthOf(body: Question['body'], headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  const isTold = body === undefined || headers['transfer-encoding'] !== undefined;
  return isTold ? {} : { 'content-length': Buffer.byteLength(body) };
}

function replyOf(status: number, headers: IncomingHttpHeaders, body: Buffer): Reply {
  const json = <Value>(): Value => JSON.parse(body.toString()) as Value;
  const isProblem = status >= 400 && (headers['content-type'] ?? '').includes('json') && body.length > 0;
  return { status, headers, body, json, error: isProblem ? String(json<{ error?: string }>().error ?? '') : '' };
}
