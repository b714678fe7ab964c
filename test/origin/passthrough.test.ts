import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { NotFoundError, TooManyRequestsError, UpstreamError } from '../../src/core/errors.ts';
import { type NpmRequest, parseNpmRequest } from '../../src/core/npm-path.ts';
import { createHttpClient, type HttpClient } from '../../src/io/http-client.ts';
import type { Incoming } from '../../src/io/http-server.ts';
import { createUpstream, type Upstream } from '../../src/io/upstream.ts';
import { createPassthrough, type Passthrough } from '../../src/origin/passthrough.ts';

type Seen = { method: string | undefined; url: string | undefined; headers: IncomingMessage['headers']; body: Buffer };

const BULK = '/-/npm/v1/security/advisories/bulk';
let server: Server;
let client: HttpClient;
let upstream: Upstream;
let seen: Seen[] = [];
let respond: (response: ServerResponse) => void;
let clock = 0;
let ask: (method: string, url: string, more?: Partial<Incoming>) => ReturnType<Passthrough>;

before(async () => {
  server = createServer(async (request, response) => {
    const { method, url, headers } = request;
    seen.push({ method, url, headers, body: Buffer.concat(await request.toArray()) });
    respond(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = createHttpClient({ userAgent: 'open-registry/test', allowPrivate: true });
  const registry = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  upstream = createUpstream({ registry, tarballOrigins: [], client, via: 'v' });
});

beforeEach(() => {
  seen = [];
  clock = 0;
  respond = json(200, '{"ok":true}');
  const passthrough = createPassthrough({ upstream, now: () => clock });
  ask = (method, url, more = {}) => {
    const incoming = {
      method,
      url,
      headers: {},
      network: '127.0.0.0/24',
      body: async () => new Uint8Array(),
      ...more,
    } as Incoming;
    return passthrough(incoming, parseNpmRequest(method, url));
  };
});

after(async () => {
  await client.close();
  server.closeAllConnections();
  server.close();
});

const json = (status: number, body: string) => (response: ServerResponse) =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(body);
const page = (status: number) => (response: ServerResponse) =>
  void response.writeHead(status, { 'content-type': 'text/html' }).end('<h1>hello</h1>');
const bodyOf = ({ body }: Awaited<ReturnType<Passthrough>>) => JSON.parse(String(Buffer.from(body as Uint8Array)));

test('each listed path is passed on as it is meant, all others are not', async () => {
  await ask('GET', '/-/v1/search?text=left%20pad&size=20');
  await ask('GET', '/-/npm/v1/keys');
  await ask('GET', '/-/npm/v1/attestations/@s%2fp@1.0.0');
  for (const path of [BULK, '/-/npm/v1/security/audits', '/-/npm/v1/security/audits/quick']) await ask('POST', path);
  assert.deepEqual(
    seen.map(({ method, url }) => `${method} ${url}`),
    [
      'GET /-/v1/search?text=left%20pad&size=20',
      'GET /-/npm/v1/keys',
      'GET /-/npm/v1/attestations/@s%2Fp@1.0.0',
      `POST ${BULK}`,
      'POST /-/npm/v1/security/audits',
      'POST /-/npm/v1/security/audits/quick',
    ],
  );
  const other = createPassthrough({ upstream });
  await assert.rejects(other({} as Incoming, { kind: 'ping' } as NpmRequest), NotFoundError);
});

test('body and its coding go on; credentials, cookies and one-time passwords stay here', async () => {
  const body = gzipSync('{"p":["1.0.0"]}');
  const headers = {
    'content-type': 'application/json',
    'content-encoding': 'gzip',
    authorization: 'Bearer t0ken',
    cookie: 'a=b',
    'npm-otp': '123456',
    'x-forwarded-for': '203.0.113.9',
    'user-agent': 'npm/11',
  };
  await ask('POST', BULK, { headers, body: async () => body });
  const [request] = seen;
  assert.deepEqual(request?.body, body);
  assert.equal(request?.headers['content-encoding'], 'gzip');
  for (const name of ['authorization', 'cookie', 'npm-otp', 'x-forwarded-for'])
    assert.equal(request?.headers[name], undefined);
  assert.equal(request?.headers['user-agent'], 'open-registry/test');
});

test('the same question within a minute is answered from here, another is not', async () => {
  const first = await ask('GET', '/-/v1/search?text=a');
  const again = await ask('GET', '/-/v1/search?text=a');
  assert.deepEqual(bodyOf(again), bodyOf(first));
  assert.match(again.headers['cache-status'] ?? '', /^open-registry; hit/);
  assert.equal(seen.length, 1);
  await ask('GET', '/-/v1/search?text=b');
  await ask('POST', BULK, { body: async () => Buffer.from('{"a":[]}') });
  await ask('POST', BULK, { body: async () => Buffer.from('{"b":[]}') });
  assert.equal(seen.length, 4);
  clock = 60_000;
  await ask('GET', '/-/v1/search?text=a');
  assert.equal(seen.length, 5);
});

test('many who ask the same at once cause one question', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask('GET', '/-/npm/v1/keys')));
  assert.equal(answers.length, 20);
  assert.equal(seen.length, 1);
});

test('only so many questions are under way at once', async () => {
  const waiting: ServerResponse[] = [];
  respond = (response) => void waiting.push(response);
  const askFrom = (at: number, network: string) => ask('GET', `/-/v1/search?text=${at}`, { network });
  const flights = Array.from({ length: 64 }, (_, at) => askFrom(at, `192.0.${at}.0/24`));
  while (waiting.length < 64) await new Promise(setImmediate);
  await assert.rejects(askFrom(64, '198.51.100.0/24'), TooManyRequestsError);
  for (const response of waiting) json(200, '{}')(response);
  await Promise.all(flights);
});

test('one network can not have all the questions that may be under way; joining one costs nothing', async () => {
  const waiting: ServerResponse[] = [];
  respond = (response) => void waiting.push(response);
  const askFrom = (at: number, network: string) => ask('GET', `/-/v1/search?text=${at}`, { network });
  const flights = Array.from({ length: 16 }, (_, at) => askFrom(at, '192.0.2.0/24'));
  while (waiting.length < 16) await new Promise(setImmediate);
  await assert.rejects(askFrom(16, '192.0.2.0/24'), TooManyRequestsError);
  flights.push(askFrom(0, '192.0.2.0/24'), askFrom(16, '198.51.100.0/24'));
  while (waiting.length < 17) await new Promise(setImmediate);
  for (const response of waiting) json(200, '{}')(response);
  await Promise.all(flights);
});

test('while the upstream is away an older answer is given and marked, for an hour', async () => {
  await ask('GET', '/-/v1/search?text=a');
  respond = (response) => void response.destroy();
  clock = 59 * 60_000;
  const stale = await ask('GET', '/-/v1/search?text=a');
  assert.deepEqual(bodyOf(stale), { ok: true });
  assert.match(stale.headers['cache-status'] ?? '', /hit; ttl=-3480; detail="upstream is away"/);
  clock = 61 * 60_000;
  await assert.rejects(ask('GET', '/-/v1/search?text=a'), UpstreamError);
});

test('without an answer the error says what was asked, and is never a 404', async () => {
  for (const [fault, message] of [
    [json(500, '{}'), /^search: it answered with status 500/],
    [json(429, '{}'), /limits our requests/],
    [json(401, '{}'), /never sends any/],
    [page(200), /not JSON/],
    [
      (response: ServerResponse) => void response.writeHead(302, { location: 'http://elsewhere.example/' }).end(),
      /not allowed/,
    ],
  ] as const) {
    respond = fault;
    await assert.rejects(ask('GET', '/-/v1/search?text=a'), (error) => {
      assert.ok(error instanceof UpstreamError);
      assert.equal(error.status, 502);
      assert.match(error.message, message);
      return true;
    });
  }
});

test('what the upstream itself refuses is passed on, in JSON', async () => {
  respond = json(410, '{"error":"this endpoint is gone"}');
  const gone = await ask('POST', '/-/npm/v1/security/audits');
  assert.equal(gone.status, 410);
  assert.deepEqual(bodyOf(gone), { error: 'this endpoint is gone' });
  respond = page(404);
  const missing = await ask('GET', '/-/npm/v1/attestations/p@1.0.0');
  assert.equal(missing.status, 404);
  assert.match(bodyOf(missing).error, /the upstream answers attestations with status 404/);
  respond = json(200, '{"attestations":[]}');
  assert.equal((await ask('GET', '/-/npm/v1/attestations/p@1.0.0')).status, 200, 'refusals are not kept');
});
