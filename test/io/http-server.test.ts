import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterEach, test } from 'node:test';
import { utf8 } from '../../src/core/bytes.ts';
import { ForbiddenError, NotFoundError } from '../../src/core/errors.ts';
import {
  type Answer,
  createHttpServer,
  type Handler,
  type HttpServer,
  type HttpServerOptions,
  type Incoming,
  VIA_HEADER,
} from '../../src/io/http-server.ts';
import { createLogger } from '../../src/io/logger.ts';
import { createMetrics } from '../../src/io/metrics.ts';

const lines: string[] = [];
const logger = createLogger({ role: 'test', level: 'debug', write: (line) => void lines.push(line) });
const metrics = createMetrics('test');
const open: HttpServer[] = [];

afterEach(async () => {
  lines.length = 0;
  await Promise.all(open.splice(0).map((server) => server.close()));
});

async function serve(handler: Handler, more: Partial<HttpServerOptions> = {}): Promise<number> {
  const server = createHttpServer({ role: 'test', logger, metrics, trustProxy: [], handler, ...more });
  open.push(server);
  return server.listen('127.0.0.1', 0);
}

const text = (body: string, more: Partial<Answer> = {}): Answer => ({
  status: 200,
  headers: {},
  body: utf8(body),
  ...more,
});
const echo: Handler = async ({ method, url, hostHeader }) => text(JSON.stringify({ method, url, hostHeader }));

/** Sends bytes as they are and reads until the server closes: what no HTTP client would let us send. */
async function raw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.end(bytes);
  let answer = '';
  for await (const piece of socket) answer += piece;
  return answer;
}

const rawGet = (port: number, target: string, method = 'GET'): Promise<string> =>
  raw(port, `${method} ${target} HTTP/1.1\r\nHost: door.example\r\nConnection: close\r\n\r\n`);

const bodyOf = (answer: string): string => answer.slice(answer.indexOf('\r\n\r\n') + 4);

async function get(port: number, path: string, options: object = {}): Promise<IncomingMessage> {
  const request = httpRequest({ host: '127.0.0.1', port, path, agent: false, ...options });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return response;
}

test('every path reaches the handler as it was sent', async () => {
  const port = await serve(echo);
  for (const path of ['/@s%2fp', '/%', '/%zz/..%2f', '/a//b/../c', '/a;b?x=%', '/%00', '//x', '*']) {
    const method = path === '*' ? 'OPTIONS' : 'GET';
    assert.equal(JSON.parse(bodyOf(await rawGet(port, path, method))).url, path);
  }
});

test('a whole URL as request target is reduced to its path, and names the host', async () => {
  const port = await serve(echo);
  const answer = JSON.parse(bodyOf(await rawGet(port, 'http://other.example:81/@s%2fp?q')));
  assert.deepEqual(answer, { method: 'GET', url: '/@s%2fp?q', hostHeader: 'other.example:81' });
});

test('every method reaches the handler, a word that is no method gets JSON', async () => {
  const port = await serve(echo);
  for (const method of ['PUT', 'DELETE', 'PATCH', 'PROPFIND', 'QUERY', 'TRACE']) {
    assert.match(await rawGet(port, '/x', method), new RegExp(`"method":"${method}"`));
  }
  const refused = await rawGet(port, '/x', 'FROB');
  assert.match(refused, /^HTTP\/1\.1 405 Method Not Allowed\r\n/);
  assert.equal(JSON.parse(bodyOf(refused)).error, 'this is not an HTTP method');
});

test('garbage, oversized headers and a missing Host are answered in JSON', async () => {
  const port = await serve(echo);
  assert.match(JSON.parse(bodyOf(await raw(port, 'hello\r\n\r\n'))).error, /not (a valid )?(an )?HTTP/);
  const large = await raw(port, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`);
  assert.match(large, /^HTTP\/1\.1 431 /);
  const head = await raw(port, 'HEAD / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n');
  assert.match(head, /^HTTP\/1\.1 400 /);
  assert.equal(bodyOf(head), '', 'a HEAD has no body, refused or not');
  const hostless = await raw(port, 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n');
  assert.match(hostless, /^HTTP\/1\.1 400 /);
  assert.match(JSON.parse(bodyOf(hostless)).error, /Host/);
  const long = await rawGet(port, `/${'a'.repeat(9_000)}`);
  assert.match(long, /^HTTP\/1\.1 414 /);
});

test('errors become JSON that npm prints, faults of ours keep their stack in the log', async () => {
  const port = await serve(async ({ url }) => {
    if (url === '/missing') throw new NotFoundError('no such package');
    if (url === '/refused') throw new ForbiddenError('this registry is read-only');
    throw new TypeError('secret detail');
  });
  const missing = await get(port, '/missing');
  assert.equal(missing.statusCode, 404);
  assert.deepEqual(JSON.parse(Buffer.concat(await missing.toArray()).toString()), {
    error: 'no such package',
    code: 'not-found',
    type: 'about:blank',
    title: 'Not Found',
    status: 404,
    detail: 'no such package',
  });
  assert.equal((await get(port, '/refused')).statusCode, 403);
  const fault = await get(port, '/fault');
  const told = Buffer.concat(await fault.toArray()).toString();
  assert.equal(fault.statusCode, 500);
  assert.doesNotMatch(told, /secret|at /);
  const id = /under ([0-9a-f]{12})/.exec(told)?.[1];
  assert.ok(lines.some((line) => line.includes(`"fault":"${id}"`) && line.includes('secret detail')));
});

test('HEAD is passed on as HEAD and its body dropped', async () => {
  let pulled = false;
  async function* body(): AsyncGenerator<Uint8Array> {
    pulled = true;
    yield utf8('x');
  }
  const port = await serve(async ({ method, url }) =>
    url === '/bytes' ? text(method) : text('', { body: body(), headers: { 'content-length': '7' } }),
  );
  const bytes = await get(port, '/bytes', { method: 'HEAD' });
  assert.equal(bytes.headers['content-length'], '4');
  assert.equal(Buffer.concat(await bytes.toArray()).length, 0);
  const stream = await get(port, '/stream', { method: 'HEAD' });
  assert.equal(stream.headers['content-length'], '7');
  assert.equal(pulled, false);
});

test('bodies of requests are bounded, announced or not', async () => {
  const port = await serve(async (incoming) => text(String((await incoming.body(10)).length)));
  const send = async (body: string, headers = {}): Promise<IncomingMessage> => {
    const request = httpRequest({ host: '127.0.0.1', port, method: 'POST', agent: false, headers });
    request.on('error', () => undefined);
    request.write(body);
    request.end();
    return ((await once(request, 'response')) as [IncomingMessage])[0];
  };
  assert.equal((await (await send('0123456789')).toArray()).join(''), '10');
  const chunked = await send('01234567890', { 'content-type': 'no/such;;type' });
  assert.equal(chunked.statusCode, 413);
  assert.equal(chunked.headers.connection, 'close');
  assert.equal((await send('x'.repeat(11), { 'content-length': '11' })).statusCode, 413);
});

test('a source is pulled only as fast as the client reads, and let go when it leaves', async () => {
  const events = new EventEmitter();
  let pieces = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        pieces++;
        yield new Uint8Array(64 * 1024);
        if (pieces % 256 === 0) events.emit('many');
      }
    } finally {
      events.emit('released');
    }
  }
  let aborted = false;
  const port = await serve(async ({ signal }) => {
    signal.addEventListener('abort', () => {
      aborted = true;
    });
    return text('', { body: endless(), onClose: () => events.emit('closed') });
  });
  const response = await get(port, '/');
  const outcome = Promise.all([once(events, 'released'), once(events, 'closed')]);
  response.read();
  await once(response, 'readable');
  assert.ok(pieces < 256, `${pieces} pieces of 64 KiB were made for a client that read one`);
  response.destroy();
  await outcome;
  assert.equal(aborted, true);
});

test('a source that waits for ever is let go when the client leaves', async () => {
  const events = new EventEmitter();
  const port = await serve(async ({ signal }) => {
    async function* silent(): AsyncGenerator<Uint8Array> {
      yield utf8(': hello\n\n');
      await once(signal, 'abort');
    }
    return text('', {
      headers: { 'content-type': 'text/event-stream' },
      body: silent(),
      onClose: () => events.emit('closed'),
    });
  });
  const closed = once(events, 'closed');
  const response = await get(port, '/');
  const [first] = await once(response, 'data');
  assert.equal(String(first), ': hello\n\n', 'events are flushed at once');
  response.destroy();
  await closed;
});

test('a source that fails cuts the body, so that nobody takes it for whole', async () => {
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield utf8('half');
    throw new Error('the disk has gone');
  }
  const port = await serve(async () => text('', { body: broken() }));
  const response = await get(port, '/');
  await assert.rejects(response.toArray(), /aborted/);
  assert.ok(lines.some((line) => line.includes('the disk has gone')));
});

test('close ends idle connections and event streams at once, lets a running answer finish, and refuses newcomers', async () => {
  const gate = new EventEmitter();
  async function* events({ signal }: Incoming): AsyncGenerator<Uint8Array> {
    yield utf8(':\n\n');
    await once(signal, 'abort');
  }
  const port = await serve(async (incoming) => {
    if (incoming.url === '/events') {
      return text('', { headers: { 'content-type': 'text/event-stream' }, body: events(incoming) });
    }
    if (incoming.url === '/slow') {
      const opened = once(gate, 'open');
      gate.emit('waiting');
      await opened;
    }
    return text('done');
  });
  const agent = new Agent({ keepAlive: true });
  await (await get(port, '/fast', { agent })).toArray();
  const stream = await get(port, '/events');
  const waiting = once(gate, 'waiting');
  const slow = get(port, '/slow');
  await waiting;
  const closing = open.splice(0)[0]?.close();
  await stream.toArray();
  await assert.rejects(get(port, '/late'), /ECONNREFUSED/);
  gate.emit('open');
  const answer = await slow;
  assert.equal((await answer.toArray()).join(''), 'done');
  assert.equal(answer.headers.connection, 'close');
  await closing;
  agent.destroy();
});

test('close does not wait for the connection of an answer that was being sent', { timeout: 10_000 }, async () => {
  const gate = new EventEmitter();
  async function* slowly(): AsyncGenerator<Uint8Array> {
    yield utf8('half, ');
    await once(gate, 'open');
    yield utf8('whole');
  }
  const port = await serve(async () => text('', { body: slowly() }), { drainMs: 60_000 });
  const agent = new Agent({ keepAlive: true });
  const response = await get(port, '/', { agent });
  const closing = open.splice(0)[0]?.close();
  gate.emit('open');
  assert.equal((await response.toArray()).join(''), 'half, whole');
  await closing;
  agent.destroy();
});

test('close waits for a stuck answer only for its bounded time', async () => {
  const port = await serve(({ signal }) => once(signal, 'abort').then(() => text('')), { drainMs: 20 });
  const request = get(port, '/');
  const cut = assert.rejects(request, /socket hang up|ECONNRESET/);
  while (open[0]?.active() === 0) await new Promise(setImmediate);
  await open.splice(0)[0]?.close();
  await cut;
});

test('localhost is bound on both loopback addresses, on one port', async () => {
  const server = createHttpServer({ role: 'test', logger, metrics, trustProxy: [], handler: echo });
  open.push(server);
  const port = await server.listen('localhost', 0);
  assert.equal((await get(port, '/')).statusCode, 200);
  const six = await get(port, '/', { host: '::1' }).catch((error) => error.code);
  assert.ok(six === 'EADDRNOTAVAIL' || six.statusCode === 200, `::1 said ${six}`);
});

test('a taken port is told in words', async () => {
  const port = await serve(echo);
  const other = createHttpServer({ role: 'test', logger, metrics, trustProxy: [], handler: echo });
  await assert.rejects(other.listen('127.0.0.1', port), /another program uses it already; choose another with --port/);
  await other.close();
});

test('forwarded addresses count only from trusted proxies', async () => {
  const who: Handler = async ({ address, network }) => text(`${address} ${network}`);
  const headers = { 'x-forwarded-for': '203.0.113.9, 198.51.100.7' };
  const strict = await serve(who);
  assert.equal((await (await get(strict, '/', { headers })).toArray()).join(''), '127.0.0.1 127.0.0.0/24');
  const trusting = await serve(who, { trustProxy: ['127.0.0.0/8', '198.51.100.0/24'] });
  assert.equal((await (await get(trusting, '/', { headers })).toArray()).join(''), '203.0.113.9 203.0.113.0/24');
});

test('a request that has come back to its sender is refused', async () => {
  const port = await serve(echo, { via: 'me' });
  assert.equal((await get(port, '/', { headers: { [VIA_HEADER]: 'a, me' } })).statusCode, 508);
  assert.equal((await get(port, '/', { headers: { [VIA_HEADER]: 'a, you' } })).statusCode, 200);
});

test('requests are counted by kind and status, and logged without addresses, queries or credentials', async () => {
  const port = await serve(async (incoming) => {
    incoming.kind = 'packument';
    return text('');
  });
  const response = await get(port, '/p?for=mark', { headers: { authorization: 'Bearer t0ken' } });
  await response.toArray();
  const { body } = await metrics.page();
  assert.match(String(body), /open_registry_http_requests_total\{kind="packument",status="200",role="test"\} 1/);
  const line = lines.find((candidate) => candidate.includes('"path":"/p"')) ?? '';
  assert.match(line, /127\.0\.0\.0\/24/);
  assert.doesNotMatch(line, /127\.0\.0\.1|mark|t0ken/);
});
