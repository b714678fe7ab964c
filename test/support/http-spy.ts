// Loaded into a server's process with `--import`: writes down every request that any HTTP server in it has answered, as it came
// over the socket. Reading what a server says of itself would not show what it received.
import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Visit } from './visits.ts';

const file = process.env.OPEN_REGISTRY_TEST_VISITS;

if (file) {
  subscribe('http.server.response.finish', (message) => {
    const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
    appendFileSync(file, `${JSON.stringify(visit(request, response))}\n`);
  });
}

function visit(request: IncomingMessage, response: ServerResponse): Visit {
  return {
    port: request.socket.localPort ?? 0,
    from: request.socket.remoteAddress ?? '',
    method: request.method ?? '',
    url: request.url ?? '',
    headers: request.headers,
    status: response.statusCode,
    location: String(response.getHeader('location') ?? ''),
  };
}
