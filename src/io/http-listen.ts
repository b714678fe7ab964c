/** Binding servers to addresses, with the limits that keep a slow or garbled client from holding them. */
import { createServer, type RequestListener, type Server, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { UsageError } from '../core/errors.ts';
import { problemAnswer } from './http-answer.ts';

const PORT_ATTEMPTS = 10;
const BACKLOG = 1_024;

/** How long connections may take, ms. */
export type ConnectionTimes = {
  /** For the headers of a request, and for all of it. Slow senders get 408 after these. */
  readonly headersMs: number;
  readonly requestMs: number;
  /** Between an answer and the next request. */
  readonly keepAliveMs: number;
  /** Without any traffic, event stream or not. */
  readonly idleMs: number;
  /** How often the first two are looked at. */
  readonly checkMs: number;
};

const TIMES: ConnectionTimes = {
  headersMs: 20_000,
  requestMs: 120_000,
  keepAliveMs: 30_000,
  idleMs: 150_000,
  checkMs: 5_000,
};
const HEADER_BYTES_MAX = 32_768;

/**
 * Servers that listen, all on one port. `localhost` means 127.0.0.1 and, where the machine has it, ::1.
 * @param port 0 picks a free one
 * @throws UsageError if the address or port can't be had
 */
export async function bind(
  listener: RequestListener,
  host: string,
  port: number,
  times: Partial<ConnectionTimes> = {},
): Promise<[Server, ...Server[]]> {
  const bindOne: BindOne = (name, at) => listenOn(createLimited(listener, { ...TIMES, ...times }), name, at);
  try {
    return host === 'localhost' ? await bindLocalhost(bindOne, port) : [await bindOne(host, port)];
  } catch (cause) {
    throw new UsageError(`can't listen on ${host}, port ${port}: ${reasonOf(cause)}`, { cause });
  }
}

type BindOne = (host: string, port: number) => Promise<Server>;

async function bindLocalhost(bindOne: BindOne, port: number): Promise<[Server, ...Server[]]> {
  for (let attempt = 1; ; attempt++) {
    const first = await bindOne('127.0.0.1', port);
    try {
      return [first, await bindOne('::1', portOf(first))];
    } catch (error) {
      if (isFamilyMissing(error)) return [first];
      first.close();
      // The port is free on one family and taken on the other; with port 0 there are more to choose from.
      if (port !== 0 || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

function createLimited(listener: RequestListener, times: ConnectionTimes): Server {
  const options = {
    headersTimeout: times.headersMs,
    requestTimeout: times.requestMs,
    keepAliveTimeout: times.keepAliveMs,
    connectionsCheckingInterval: times.checkMs,
    maxHeaderSize: HEADER_BYTES_MAX,
    requireHostHeader: false,
  };
  const server = createServer(options, listener);
  server.setTimeout(times.idleMs);
  server.on('clientError', refuseUnreadable);
  return server;
}

function listenOn(server: Server, host: string, port: number): Promise<Server> {
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
function refuseUnreadable(error: Unreadable, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const { status, message } = UNREADABLE[error.code ?? ''] ?? UNREADABLE_OTHERWISE;
  const { headers, body } = problemAnswer(status, 'bad-request', message, { connection: 'close' });
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n`;
  socket.end(isHead(error, socket) ? head : head + Buffer.from(body as Uint8Array));
}

/** `rawPacket`: the bytes that the parser gave up on (nodejs.org/api/http.html#event-clienterror). */
type Unreadable = NodeJS.ErrnoException & { readonly rawPacket?: Buffer };

/** Known only if the request began in those bytes: in what came later a line may look like the first one. */
function isHead({ rawPacket }: Unreadable, socket: Socket): boolean {
  return rawPacket?.length === socket.bytesRead && rawPacket.subarray(0, 5).toString('latin1') === 'HEAD ';
}

const UNREADABLE_OTHERWISE = { status: 400, message: 'this is not a valid HTTP request' };
const UNREADABLE: Readonly<Record<string, { status: number; message: string }>> = {
  HPE_INVALID_METHOD: { status: 405, message: 'this is not an HTTP method' },
  HPE_HEADER_OVERFLOW: { status: 431, message: `the headers are larger than ${HEADER_BYTES_MAX} bytes` },
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
