import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { type Fault, sendFaulty } from './upstream-faults.ts';

/** A server that passes every request on to another, and breaks the answers that a test wants broken. */
export interface Meddler {
  /** Base URL without a slash at the end. */
  readonly url: string;
  /** Base URL of the server where requests go; connections are dropped while it is not known. */
  target: string | null;
  /** Requests whose answers were broken so far. */
  readonly meddled: number;
  /** Breaks answers to requests that match, until `mend`. */
  fault(matches: (request: IncomingMessage) => boolean, fault: Fault): void;
  mend(): void;
  /** Resolves when the next request that matches has come. */
  next(matches: (request: IncomingMessage) => boolean): Promise<void>;
  /** Refuses connections from now on, and drops those that are open. */
  refuse(): Promise<void>;
  /** Takes connections again, at the same port. */
  accept(): Promise<void>;
}

/** Starts one on a free port of 127.0.0.1; it ends with the test. */
export async function startMeddler(t: Pick<TestContext, 'after'>, target: string | null = null): Promise<Meddler> {
  const faults: { matches: (request: IncomingMessage) => boolean; fault: Fault }[] = [];
  const waiting = new Set<(request: IncomingMessage) => void>();
  let meddled = 0;
  const server = createServer((incoming, response) => {
    for (const look of waiting) look(incoming);
    if (meddler.target === null) return void response.destroy();
    const { method, headers, url: path } = incoming;
    const passed = request(meddler.target + path, { method: method ?? 'GET', headers, agent: false });
    passed.once('error', () => response.destroy());
    response.once('close', () => passed.destroy());
    passed.once('response', (answer) => {
      const fault = faults.find(({ matches }) => matches(incoming))?.fault;
      if (fault) meddled++;
      void (fault ? breakAnswer(fault, answer, response) : pass(answer, response));
    });
    incoming.pipe(passed);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close().closeAllConnections());
  const { port } = server.address() as AddressInfo;
  const meddler: Meddler = {
    url: `http://127.0.0.1:${port}`,
    target,
    get meddled() {
      return meddled;
    },
    fault: (matches, fault) => faults.unshift({ matches, fault }),
    mend: () => faults.splice(0),
    next: (matches) =>
      new Promise((resolve) => {
        const look = (request: IncomingMessage) => {
          if (!matches(request)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
      }),
    refuse: async () => {
      const closed = once(server, 'close');
      server.close().closeAllConnections();
      await closed;
    },
    accept: async () => {
      const listening = once(server, 'listening');
      server.listen(port, '127.0.0.1');
      await listening;
    },
  };
  return meddler;
}

function pass(answer: IncomingMessage, response: ServerResponse): void {
  response.writeHead(answer.statusCode ?? 502, answer.headers);
  // At once: an event stream's headers come long before its first event.
  response.flushHeaders();
  answer.once('error', () => response.destroy());
  answer.pipe(response);
}

async function breakAnswer(fault: Fault, answer: IncomingMessage, response: ServerResponse): Promise<void> {
  const { 'content-length': _, ...told } = answer.headers;
  const headers = Object.entries(told).map(([name, value]) => [name, `${value}`]);
  const body = await buffer(answer);
  await sendFaulty(fault, { status: answer.statusCode ?? 502, headers: Object.fromEntries(headers), body }, response);
}
