import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, createServer as listen, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { UpstreamError, UpstreamTimeoutError } from '../../src/core/errors.ts';
import { createHttpClient, type HttpClient, type RequestOptions } from '../../src/io/http-client.ts';

type Route = (request: IncomingMessage, response: ServerResponse) => void;

const events = new EventEmitter();
const seen: IncomingMessage[] = [];
let server: Server;
let base: string;
let client: HttpClient;

const routes: Record<string, Route> = {
  '/plain': (_request, response) => response.end('hello'),
  '/gzip': (_request, response) => coded(response, 'gzip', gzipSync('hello')),
  '/br': (_request, response) => coded(response, 'br', brotliCompressSync('hello')),
  '/zstd': (_request, response) => coded(response, 'zstd', zstdCompressSync('hello')),
  '/many-codings': (_request, response) => coded(response, Array(500).fill('gzip').join(', '), gzipSync('hello')),
  '/cut-gzip': (_request, response) => coded(response, 'gzip', gzipSync('hello'.repeat(100)).subarray(0, 20)),
  '/bomb': (_request, response) => coded(response, 'gzip', gzipSync(Buffer.alloc(1_000_000))),
  '/truncated': (_request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('only this', () => response.destroy());
  },
  '/cut-chunked': (_request, response) => void response.write('only this', () => response.destroy()),
  '/endless': (_request, response) => drip(response, 'x'.repeat(65_536)),
  '/silent': () => undefined,
  '/stops': (_request, response) => void response.write('then nothing'),
  '/to/plain': (_request, response) => redirect(response, '/plain'),
  '/to/loop': (_request, response) => redirect(response, '/to/loop'),
  '/to/elsewhere': (_request, response) => redirect(response, 'http://elsewhere.example/x'),
};

function coded(response: ServerResponse, coding: string, body: Buffer): void {
  response.writeHead(200, { 'content-encoding': coding, 'content-length': String(body.length) });
  response.end(body);
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(302, { location }).end('moved');
}

function drip(response: ServerResponse, piece: string): void {
  const more = (): void => {
    while (!response.destroyed && response.write(piece));
  };
  response.on('drain', more).on('close', () => events.emit('endless closed'));
  more();
}

before(async () => {
  server = createServer((request, response) => {
    seen.push(request);
    routes[request.url ?? '']?.(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  client = createHttpClient({ userAgent: 'test/1', allowPrivate: true });
});

after(async () => {
  await client.close();
  server.closeAllConnections();
  server.close();
});

const get = (path: string, more: Partial<RequestOptions> = {}) =>
  client.request(base + path, { maxBytes: 100_000, ...more });

async function fails(promise: Promise<unknown>, kind: typeof UpstreamError, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.equal((error as Error).constructor, kind);
    assert.match((error as Error).message, message);
    return true;
  });
}

test('more codings than anybody needs are refused before any of them costs memory', async () => {
  const thrown = await client.request(`${base}/many-codings`, { maxBytes: 1_000 }).catch((error) => error);
  assert.ok(thrown instanceof UpstreamError);
  assert.match(thrown.message, /500 codings, at most 2/);
});

test('bodies arrive decoded, and say so', async () => {
  for (const path of ['/plain', '/gzip', '/br', '/zstd']) {
    const { status, headers, body } = await get(path);
    assert.equal(status, 200);
    assert.equal(Buffer.from(body).toString(), 'hello');
    assert.equal(headers['content-encoding'], undefined);
  }
  assert.equal(seen.at(-1)?.headers['user-agent'], 'test/1');
});

test('a body that is cut short is an error, whichever way it is framed', async () => {
  for (const path of ['/truncated', '/cut-chunked', '/cut-gzip'])
    await fails(get(path), UpstreamError, /closed|ends too early|shorter/);
});

test('bodies are bounded as sent and as decoded', async () => {
  await fails(get('/plain', { maxBytes: 4 }), UpstreamError, /larger than 4 bytes/);
  await fails(get('/bomb', { maxBytes: 10_000 }), UpstreamError, /larger than 10000 bytes/);
});

test('an endless body is cut at its bound and the connection let go', async () => {
  const closed = once(events, 'endless closed');
  await fails(get('/endless', { maxBytes: 300_000 }), UpstreamError, /larger than 300000/);
  await closed;
});

test('time is bounded to the headers, between pieces, and in all', async () => {
  await fails(get('/silent', { headersTimeoutMs: 20 }), UpstreamTimeoutError, /no answer within its time/);
  await fails(get('/stops', { totalTimeoutMs: 50 }), UpstreamTimeoutError, /no whole answer within its time/);
  const closed = once(events, 'endless closed');
  await fails(get('/endless', { totalTimeoutMs: 50, maxBytes: 1e12 }), UpstreamTimeoutError, /within its time/);
  await closed;
});

test("the caller's signal ends a request with its own reason", async () => {
  const reason = new Error('the client left');
  const abort = new AbortController();
  const arrived = once(server, 'request');
  const pending = assert.rejects(get('/silent', { signal: abort.signal }), (error) => error === reason);
  await arrived;
  abort.abort(reason);
  await pending;
  await assert.rejects(get('/plain', { signal: abort.signal }), (error) => error === reason);
});

test('a stream can be destroyed unread', async () => {
  const closed = once(events, 'endless closed');
  const { body } = await client.open(`${base}/endless`, { maxBytes: 1e12 });
  body.destroy();
  await closed;
});

test('redirects are answers unless they are asked to be followed, and only where allowed', async () => {
  assert.equal((await get('/to/plain')).status, 302);
  const same = (to: URL, from: URL): boolean => to.origin === from.origin;
  const { url, body } = await get('/to/plain', { follow: same });
  assert.equal(url, `${base}/plain`);
  assert.equal(Buffer.from(body).toString(), 'hello');
  await fails(
    get('/to/elsewhere', { follow: same }),
    UpstreamError,
    /redirects to http:\/\/elsewhere.example, which is not allowed/,
  );
  await fails(get('/to/loop', { follow: same }), UpstreamError, /redirects more than 5 times/);
});

test('who is not there is told in words, with what was asked and without its query', async () => {
  const gone = createServer().listen(0, '127.0.0.1');
  await once(gone, 'listening');
  const { port } = gone.address() as AddressInfo;
  gone.close();
  await fails(
    client.request(`http://user:secret@127.0.0.1:${port}/x?token=secret`, { maxBytes: 1 }),
    UpstreamError,
    new RegExp(`^GET http://127.0.0.1:${port}/x: the connection was refused$`),
  );
  await fails(get('/truncated', { what: 'packument of p' }), UpstreamError, /^packument of p: /);
});

test('private addresses are refused, named or not', async () => {
  const careful = createHttpClient({ userAgent: 'test/1', allowPrivate: false });
  const before = seen.length;
  await fails(
    careful.request(`${base}/plain`, { maxBytes: 100 }),
    UpstreamError,
    /127\.0\.0\.1 is private.*--allow-private/,
  );
  const named = base.replace('127.0.0.1', 'localhost');
  await fails(careful.request(`${named}/plain`, { maxBytes: 100 }), UpstreamError, /is private|refused/);
  assert.equal(seen.length, before);
  await careful.close();
});

test('a private address is not even greeted by TLS', async () => {
  const careful = createHttpClient({ userAgent: 'test/1', allowPrivate: false });
  const greetings: unknown[] = [];
  const listener = listen((socket) => socket.on('data', (bytes) => greetings.push(bytes)).on('error', () => undefined));
  listener.listen(0, 'localhost');
  await once(listener, 'listening');
  const met = once(listener, 'connection');
  const url = `https://localhost:${(listener.address() as AddressInfo).port}/`;
  await fails(careful.request(url, { maxBytes: 100 }), UpstreamError, /is private/);
  const [socket] = (await met) as [Socket];
  if (!socket.closed) await once(socket, 'close');
  assert.deepEqual(greetings, []);
  listener.close();
  await careful.close();
});

test('a connection that the server closed meanwhile is opened again', async () => {
  await get('/plain');
  server.closeAllConnections();
  assert.equal((await get('/plain')).status, 200);
});

test('a proxy is used for other hosts, not for this machine', async () => {
  const asked: string[] = [];
  const proxy = createServer((request, response) => {
    asked.push(request.url ?? '');
    httpRequest(`${base}/plain`, (answer) => answer.pipe(response)).end();
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const through = createHttpClient({
    userAgent: 'test/1',
    allowPrivate: true,
    proxy: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
  });
  const { body } = await through.request('http://registry.example/p', { maxBytes: 100 });
  assert.equal(Buffer.from(body).toString(), 'hello');
  await through.request(`${base}/plain`, { maxBytes: 100 });
  assert.deepEqual(asked, ['http://registry.example/p']);
  await through.close();
  proxy.closeAllConnections();
  proxy.close();
});
