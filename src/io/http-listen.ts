/** Binding servers to addresses, with the limits that keep a slow or garbled client from holding them. */
import { createServer, type RequestListener, type Server, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { UsageError } from '../core/errors.ts';
import { problemAnswer } from './http-answer.ts';

const PORT_ATTEMPTS = 10;
const BACKLOG = 1_024;

/** Slow senders are cut off after these; a socket with no traffic at all, event stream or not, after the last. */
const TIMEOUTS = {
  headersTimeout: 20_000,
  requestTimeout: 120_000,
  keepAliveTimeout: 30_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 32_768,
};
const SOCKET_IDLE_MS = 150_000;

/**
 * Servers that listen, all on one port. `localhost` means 127.0.0.1 and, where the machine has it, ::1.
 * @param port 0 picks a free one
 * @throws UsageError if the address or port can't be had
 */
export async function bind(listener: RequestListener, host: string, port: number): Promise<[Server, ...Server[]]> {
  try {
    return host === 'localhost' ? await bindLocalhost(listener, port) : [await bindOne(listener, host, port)];
  } catch (cause) {
    throw new UsageError(`can't listen on ${host}, port ${port}: ${reasonOf(cause)}`, { cause });
  }
}

async function bindLocalhost(listener: RequestListener, port: number): Promise<[Server, ...Server[]]> {
  for (let attempt = 1; ; attempt++) {
    const first = await bindOne(listener, '127.0.0.1', port);
    try {
      return [first, await bindOne(listener, '::1', portOf(first))];
    } catch (error) {
      if (isFamilyMissing(error)) return [first];
      first.close();
      // The port is free on one family and taken on the other; with port 0 there are more to choose from.
      if (port !== 0 || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

function bindOne(listener: RequestListener, host: string, port: number): Promise<Server> {
  const server = createServer({ ...TIMEOUTS, requireHostHeader: false }, listener);
  server.setTimeout(SOCKET_IDLE_MS);
  server.on('clientError', refuseUnreadable);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

/** The port that a listening server has got. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** What node's parser could not read as HTTP still gets an answer that a client can print. */
function refuseUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const { status, message } = UNREADABLE[error.code ?? ''] ?? UNREADABLE_OTHERWISE;
  const { headers, body } = problemAnswer(status, 'bad-request', message, { connection: 'close' });
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${Buffer.from(body as Uint8Array)}`);
}

const UNREADABLE_OTHERWISE = { status: 400, message: 'this is not a valid HTTP request' };
const UNREADABLE: Readonly<Record<string, { status: number; message: string }>> = {
  HPE_INVALID_METHOD: { status: 405, message: 'this is not an HTTP method' },
  HPE_HEADER_OVERFLOW: { status: 431, message: `the headers are larger than ${TIMEOUTS.maxHeaderSize} bytes` },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, message: 'the request took too long to arrive' },
};

function reasonOf(error: unknown): string {
  const code = codeOf(error);
  if (code === 'EADDRINUSE') return 'another program uses it already; choose another with --port';
  if (code === 'EACCES') return 'it needs more rights; choose a port above 1023 with --port';
  if (isFamilyMissing(error) || code === 'ENOTFOUND') return 'this machine has no such address; check --host';
  return (error as Error).message;
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function isFamilyMissing(error: unknown): boolean {
  return ['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes(codeOf(error) ?? '');
}
