// Loaded into a server's process with `--import`: writes down every request that any HTTP server in it has answered, as it came
// over the socket. Reading what a server says of itself would not show what it received.
import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Visit } from './visits.ts';

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

const file = process.env.OPEN_REGISTRY_TEST_VISITS;
const asked = new WeakMap<IncomingMessage, Omit<Visit, 'status' | 'location'>>();

if (file) {
  // At the start, because servers may write over parts of a request while they handle it.
  subscribe('http.server.request.start', (message) => {
    const { request } = message as Exchange;
    asked.set(request, question(request));
  });
  subscribe('http.server.response.finish', (message) => {
    const { request, response } = message as Exchange;
    const location = String(response.getHeader('location') ?? '');
    appendFileSync(file, `${JSON.stringify({ ...asked.get(request), status: response.statusCode, location })}\n`);
  });
}

// When the tests are killed they can't clean up, and a server would go on for ever. The channel alone keeps nobody alive.
process.channel?.unref();
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));

function question({ socket, method = '', url = '', headers }: IncomingMessage): Omit<Visit, 'status' | 'location'> {
  return { port: socket.localPort ?? 0, from: socket.remoteAddress ?? '', method, url, headers: { ...headers } };
}
