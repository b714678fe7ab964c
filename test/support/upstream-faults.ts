import type { ServerResponse } from 'node:http';
import { gunzipSync, gzipSync } from 'node:zlib';

/**
 * What goes wrong with an answer:
 * `silent` never comes, `missing` is a 404 with a page, `unrouted` one in plain text, `error` a 500, `unavailable` a 503, `truncated` ends in the middle of its stated length,
 * `forged` has other code in the archive and ends one byte before
 * its stated length, `endless` never ends, `html` is a captive portal's page with status 200, `corrupt` has one bit wrong;
 * `oversize` is announced with a terabyte; a function makes other bytes of the right ones, and may take its time.
 */
export type Fault =
  | 'silent'
  | 'missing'
  | 'unrouted'
  | 'error'
  | 'unavailable'
  | 'truncated'
  | 'forged'
  | 'endless'
  | 'html'
  | 'corrupt'
  | 'oversize'
  | ((body: Buffer) => Buffer | Promise<Buffer>);

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

/** Sends an answer with a fault in it. */
export async function sendFaulty(fault: Fault, answer: Answer, response: ServerResponse): Promise<void> {
  if (typeof fault === 'function') send({ ...answer, body: await fault(answer.body) }, response);
  else faulty[fault](answer, response);
}

export function send({ status, headers, body }: Answer, response: ServerResponse): void {
  response.writeHead(status, { ...headers, 'content-length': body.length }).end(body);
}

const faulty: Record<Extract<Fault, string>, (answer: Answer, response: ServerResponse) => void> = {
  silent: () => {},
  missing: (_, response) => sendText(response, 404, 'not here'),
  unrouted: (_, response) => void response.writeHead(404, { 'content-type': 'text/plain' }).end('no such route'),
  error: (_, response) => sendText(response, 500, 'something broke'),
  unavailable: (_, response) => sendText(response, 503, 'try later'),
  html: (_, response) => sendText(response, 200, '<!doctype html><title>Please log in</title>'),
  corrupt: (answer, response) => send({ ...answer, body: withOneBitWrong(answer.body) }, response),
  truncated: ({ status, headers, body }, response) => {
    response.writeHead(status, { ...headers, 'content-length': body.length });
    response.write(body.subarray(0, body.length >> 1), () => response.destroy());
  },
  oversize: ({ status, headers, body }, response) => {
    response.writeHead(status, { ...headers, 'content-length': 2 ** 40 }).write(body);
  },
  forged: ({ status, headers, body }, response) => {
    const forged = gzipSync(
      Buffer.from(gunzipSync(body).toString('latin1').replaceAll('exports', 'Exports'), 'latin1'),
    );
    response.writeHead(status, { ...headers, 'content-length': forged.length + 1 });
    response.write(forged, () => response.destroy());
  },
  endless: ({ status, headers, body }, response) => {
    response.writeHead(status, headers);
    const more = () => {
      while (!response.destroyed && response.write(body)) {}
    };
    response.on('drain', more);
    more();
  },
};

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/html', 'content-length': Buffer.byteLength(text) }).end(text);
}

function withOneBitWrong(body: Buffer): Buffer {
  const wrong = Buffer.from(body);
  const middle = body.length >> 1;
  wrong[middle] = (wrong[middle] ?? 0) ^ 1;
  return wrong;
}
