/**
 * How the command line talks to a running server: JSON over HTTP on a unix socket that only the server's own user can
 * open. Whoever can reach it may administer; there are no passwords.
 *
 *     admin.json   in the data directory: `{ "socket": "<path>" }`
 *     admin.sock   beside it, or in a folder of its own under the temporary folder where the path would be too long
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { text, utf8 } from '../core/bytes.ts';
import { BadRequestError, ConflictError, FederationError, UsageError } from '../core/errors.ts';
import { CONTROL_BODY_BYTES_MAX } from '../core/limits.ts';
import { readBounded, writeDurably } from './durable-file.ts';
import { type Answer, answerOfError, jsonAnswer, type Problem, problemAnswer, sendAnswer } from './http-answer.ts';
import { collect, readBody } from './http-body.ts';

/** `path` is split at slashes and decoded: `POST /hosts/abc/approve` has `['hosts', 'abc', 'approve']`. */
export type AdminRequest = { readonly method: string; readonly path: readonly string[]; readonly body: unknown };

/** Returns what the answer's JSON is to be (undefined as null). Errors are told to the caller by their message. */
export type AdminHandler = (request: AdminRequest) => Promise<unknown>;

/** What a server said no to, in its own words. */
export class AdminError extends FederationError {
  readonly code: string;
  readonly status: number;

  constructor({ error, code, status }: Pick<Problem, 'error' | 'code' | 'status'>) {
    super(error);
    this.code = code;
    this.status = status;
  }
}

const POINTER = 'admin.json';
const POINTER_BYTES_MAX = 4_096;
/** A socket's path has room for 104 to 108 bytes, the last of them zero. */
const SOCKET_PATH_BYTES_MAX = 100;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** A verification of a large store is one long request. */
const NO_TIMEOUT = { requestTimeout: 0, headersTimeout: 10_000 };

/**
 * Serves `handler` to this user's commands. Call it while the data directory is locked: a socket that lies there from a
 * server that was killed is replaced.
 */
export async function serveAdmin(dir: string, handler: AdminHandler): Promise<{ close(): Promise<void> }> {
  // A copy of a data directory points to the socket of the original, whose server may be running.
  if (!(await isAdminReachable(dir))) await removeSocket(dir, await readPointer(dir));
  const socket = await socketPath(dir);
  await rm(socket, { force: true });
  const server = createServer(NO_TIMEOUT, (incoming, response) => {
    serve(incoming, handler).then((answer) => sendAnswer(incoming, response, answer, () => undefined));
  });
  await listen(server, socket);
  await chmod(socket, 0o600);
  await writeDurably(join(dir, POINTER), utf8(`${JSON.stringify({ socket })}\n`));
  return {
    close: async () => {
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
      await rm(join(dir, POINTER), { force: true });
      await removeSocket(dir, socket);
    },
  };
}

/**
 * Asks the server that runs on a data directory.
 * @param path each part is escaped
 * @throws ConflictError if no server is running there, AdminError with the server's words if it refuses
 */
export async function callAdmin(
  dir: string,
  method: string,
  path: readonly string[],
  body?: unknown,
): Promise<unknown> {
  const socketFile = await readPointer(dir);
  if (socketFile === null) throw notRunning(dir);
  const { status, value } = await exchange(socketFile, method, path, body).catch((cause) => {
    if (['ENOENT', 'ECONNREFUSED'].includes(cause.code)) throw notRunning(dir);
    throw new ConflictError(`the server on ${dir} can't be talked to: ${cause.message}`, { cause });
  });
  if (status >= 400) throw new AdminError(value as Problem);
  return value;
}

/** Whether a server answers on the data directory's socket now. */
export async function isAdminReachable(dir: string): Promise<boolean> {
  const socketFile = await readPointer(dir);
  if (socketFile === null) return false;
  return exchange(socketFile, 'GET', [], undefined).then(
    () => true,
    () => false,
  );
}

async function serve(incoming: IncomingMessage, handler: AdminHandler): Promise<Answer> {
  try {
    const path = (incoming.url ?? '/')
      .split('/')
      .filter((part) => part !== '')
      .map(decodeURIComponent);
    const body = parse(await readBody(incoming, CONTROL_BODY_BYTES_MAX));
    return jsonAnswer(200, (await handler({ method: incoming.method ?? 'GET', path, body })) ?? null);
  } catch (error) {
    return answerOfError(error) ?? problemAnswer(500, 'internal', String((error as Error).message ?? error));
  }
}

function parse(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(text(bytes));
  } catch (cause) {
    throw new BadRequestError('the request is not JSON', { cause });
  }
}

async function socketPath(dir: string): Promise<string> {
  const beside = resolve(dir, 'admin.sock');
  if (Buffer.byteLength(beside) <= SOCKET_PATH_BYTES_MAX) return beside;
  return join(await mkdtemp(join(tmpdir(), 'open-registry-')), 'admin.sock');
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((done, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      done();
    });
  });
}

async function readPointer(dir: string): Promise<string | null> {
  try {
    const bytes = await readBounded(join(dir, POINTER), POINTER_BYTES_MAX);
    const { socket } = bytes === null ? { socket: null } : JSON.parse(text(bytes));
    return typeof socket === 'string' ? socket : null;
  } catch {
    return null;
  }
}

/** Removes a socket beside the pointer, or the folder that was made for it; nothing else that a pointer may name. */
async function removeSocket(dir: string, socket: string | null): Promise<void> {
  if (socket === resolve(dir, 'admin.sock')) await rm(socket, { force: true });
  else if (socket?.startsWith(join(tmpdir(), 'open-registry-'))) {
    await rm(dirname(socket), { recursive: true, force: true });
  }
}

async function exchange(
  socketFile: string,
  method: string,
  path: readonly string[],
  body: unknown,
): Promise<{ status: number; value: unknown }> {
  const target = `/${path.map(encodeURIComponent).join('/')}`;
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { host: 'admin', connection: 'close' };
    const outgoing = request({ socketPath: socketFile, method, path: target, headers, agent: false }, resolve);
    outgoing.on('error', reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
  const bytes = await collect(answer, ANSWER_BYTES_MAX, () => new UsageError('the answer of the server is too large'));
  return { status: answer.statusCode ?? 500, value: JSON.parse(text(bytes)) };
}

function notRunning(dir: string): ConflictError {
  return new ConflictError(`no server is running on ${dir}; start it, or name the right folder with --data DIR`);
}
