import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { UpstreamError, UpstreamTimeoutError } from '../../src/core/errors.ts';
import { createHttpClient, type HttpClient } from '../../src/io/http-client.ts';
import { createHttpServer, jsonAnswer, newVia, VIA_HEADER } from '../../src/io/http-server.ts';
import { createLogger } from '../../src/io/logger.ts';
import { createMetrics } from '../../src/io/metrics.ts';
import { createUpstream, type Upstream } from '../../src/io/upstream.ts';

type Route = (request: IncomingMessage, response: ServerResponse) => void;
type Listening = { readonly server: Server; readonly origin: string };

const via = newVia();
let answer: Route;
let seen: IncomingMessage[] = [];
let own: Listening;
let cdn: Listening;
let client: HttpClient;
let upstream: Upstream;

async function listen(): Promise<Listening> {
  const server = createServer((request, response) => {
    seen.push(request);
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

before(async () => {
  own = await listen();
  cdn = await listen();
  client = createHttpClient({ userAgent: 'open-registry/test', allowPrivate: true });
  upstream = createUpstream({ registry: `${own.origin}/npm`, tarballOrigins: [], client, via });
});

beforeEach(() => {
  seen = [];
});

after(async () => {
  await client.close();
  for (const { server } of [own, cdn]) {
    server.closeAllConnections();
    server.close();
  }
});

const json =
  (body: string, headers: Record<string, string> = {}): Route =>
  (_request, response) =>
    void response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(body);

const status =
  (code: number, headers: Record<string, string> = {}): Route =>
  (_request, response) =>
    void response.writeHead(code, headers).end('{}');

async function fails(promise: Promise<unknown>, message: RegExp, kind = UpstreamError): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.equal((error as Error).constructor, kind);
    assert.match((error as Error).message, message);
    return true;
  });
}

test('a packument is asked for under the path of the registry, compressed, marked with where it comes from', async () => {
  answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip', etag: '"e"' });
    response.end(gzipSync('{"name":"@s/p"}'));
  };
  const got = await upstream.packument('@s/p', null);
  assert.deepEqual({ ...got, bytes: undefined }, { kind: 'fresh', bytes: undefined, etag: '"e"', lastModified: null });
  assert.equal(got.kind === 'fresh' && Buffer.from(got.bytes).toString(), '{"name":"@s/p"}');
  const { url, headers } = seen[0] as IncomingMessage;
  assert.equal(url, '/npm/@s%2fp');
  assert.equal(headers['accept-encoding'], 'gzip');
  assert.equal(headers.accept, 'application/json');
  assert.equal(headers[VIA_HEADER], via);
  assert.equal(headers.authorization, undefined);
});

test('validators are sent, and 304 counts only as the answer to them', async () => {
  answer = status(304);
  const got = await upstream.packument('p', { etag: '"e"', lastModified: 'Wed, 01 Jan 2020 00:00:00 GMT' });
  assert.equal(got.kind, 'not-modified');
  assert.equal(seen[0]?.headers['if-none-match'], '"e"');
  assert.equal(seen[0]?.headers['if-modified-since'], 'Wed, 01 Jan 2020 00:00:00 GMT');
  await fails(upstream.packument('p', null), /status 304/);
});

test('only 404 and 410 mean that there is nothing', async () => {
  for (const code of [404, 410]) {
    answer = status(code);
    assert.deepEqual(await upstream.packument('p', null), { kind: 'missing', page: null });
    assert.deepEqual(await upstream.manifest('p', '1.0.0'), { kind: 'missing', page: null });
    assert.equal(await upstream.tarball(`${own.origin}/npm/p/-/p-1.0.0.tgz`), null);
  }
  for (const [code, reason] of [
    [401, /never sends any/],
    [403, /refuses/],
    [429, /limits our requests/],
    [500, /status 500/],
    [503, /status 503/],
    [508, /this registry itself.*--upstream/],
  ] as const) {
    answer = status(code);
    await fails(upstream.packument('p', null), reason);
    await fails(upstream.manifest('p', '1.0.0'), reason);
    await fails(upstream.tarball(`${own.origin}/npm/p/-/p-1.0.0.tgz`), reason);
  }
});

test('what came with a 404 is told where no registry sends it', async () => {
  const cases: [type: string | null, body: string, page: string | null][] = [
    ['application/json', '"Not Found"', null],
    ['application/problem+json', '{}', null],
    ['text/html', '\n{"error":"not found"}', null],
    [null, '', null],
    ['text/html', ' ', null],
    ['Text/HTML; charset=utf-8', '<h1>Not here</h1>', 'text/html'],
    ['text/plain', '404 page not found', 'text/plain'],
    [null, 'not found', 'application/octet-stream'],
  ];
  for (const [type, body, page] of cases) {
    answer = (_request, response) =>
      void response.writeHead(404, type === null ? {} : { 'content-type': type }).end(body);
    assert.deepEqual(await upstream.packument('p', null), { kind: 'missing', page }, body);
    assert.deepEqual(await upstream.manifest('p', '1.0.0'), { kind: 'missing', page }, body);
  }
});

test('a page in place of JSON is no metadata, whatever its status', async () => {
  answer = (_request, response) =>
    void response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Sign in</h1>');
  await fails(upstream.packument('p', null), /text\/html in place of JSON/);
  for (const body of ['', '<h1>', '[1]', '{"name":"p"', 'null']) {
    answer = json(body);
    await fails(upstream.packument('p', null), /no JSON object/);
  }
  answer = json(' {"name":"p"}\n', { 'content-type': 'application/vnd.npm.install-v1+json' });
  assert.equal((await upstream.packument('p', null)).kind, 'fresh');
});

test('truncated, endless and slow answers are errors, and time-outs their own kind', async () => {
  answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
    response.write('{"name":"p"}', () => response.destroy());
  };
  await fails(upstream.packument('p', null), /closed before/);
  answer = () => undefined;
  await fails(upstream.packument('p', null, 20), /within its time/, UpstreamTimeoutError);
  answer = (_request, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write('{"a":1}'.repeat(10_000)));
    };
    response.writeHead(200, { 'content-type': 'application/json' }).on('drain', more);
    more();
  };
  await fails(upstream.manifest('p', '1.0.0'), /larger than \d+ bytes/);
});

test('one version is asked for by its own document', async () => {
  answer = json('{"name":"@s/p","version":"1.0.0+b"}');
  assert.equal((await upstream.manifest('@s/p', '1.0.0+b')).kind, 'fresh');
  assert.equal(seen[0]?.url, '/npm/@s%2fp/1.0.0%2Bb');
});

test('the query of a tarball URL is told to nobody', async () => {
  answer = (_, response) => response.writeHead(403).end();
  await fails(upstream.tarball(`${own.origin}/p.tgz?signature=secret`), /p\.tgz: it refuses to answer \(403\)$/);
});

test('a tarball comes from the upstream alone, unless more is allowed, and so do its redirects', async () => {
  answer = (request, response) => {
    if (request.url === '/away') response.writeHead(302, { location: `${cdn.origin}/there` }).end();
    else response.writeHead(200, { 'content-length': '5' }).end('bytes');
  };
  const tarball = await upstream.tarball(`${own.origin}/anywhere/p.tgz`);
  assert.equal(tarball?.size, 5);
  const pieces: Uint8Array[] = [];
  for await (const piece of tarball?.body ?? []) pieces.push(piece);
  assert.equal(Buffer.concat(pieces).toString(), 'bytes');
  assert.equal(seen[0]?.headers['accept-encoding'], undefined);

  seen = [];
  await fails(upstream.tarball(`${cdn.origin}/p.tgz`), new RegExp(`--upstream-tarballs ${cdn.origin} would allow`));
  await fails(upstream.tarball('file:///etc/passwd'), /don't fetch from/);
  await fails(upstream.tarball('http://user:word@127.0.0.1/p.tgz'), /don't fetch from/);
  await fails(upstream.tarball('nonsense'), /don't fetch from/);
  assert.equal(seen.length, 0, 'nothing was asked');
  await fails(upstream.tarball(`${own.origin}/away`), /redirects to .*, which is not allowed/);

  const wider = createUpstream({ registry: upstream.registry, tarballOrigins: [`${cdn.origin}/ignored`], client, via });
  (await wider.tarball(`${own.origin}/away`))?.body.destroy();
  (await wider.tarball(`${cdn.origin}/p.tgz`))?.body.destroy();
  assert.equal(wider.isAllowed(`${cdn.origin}/p.tgz`), true);
  assert.equal(upstream.isAllowed(`${cdn.origin}/p.tgz`), false);
});

test('keys are read, and an upstream without them says so', async () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const listed = {
    keyid: 'SHA256:k',
    keytype: 'ecdsa-sha2-nistp256',
    scheme: 'ecdsa-sha2-nistp256',
    key,
    expires: null,
  };
  answer = json(JSON.stringify({ keys: [listed] }));
  assert.deepEqual(
    (await upstream.keys())?.map(({ keyid }) => keyid),
    ['SHA256:k'],
  );
  assert.equal(seen[0]?.url, '/npm/-/npm/v1/keys');
  for (const code of [400, 404, 405]) {
    answer = status(code);
    assert.equal(await upstream.keys(), null);
  }
  answer = json('{"keys":"none"}');
  await fails(upstream.keys(), /no list "keys"/);
  answer = status(502);
  await fails(upstream.keys(), /status 502/);
});

test('what is passed through is not sent on to a redirect unless it is a read', async () => {
  answer = (request, response) => {
    if (request.url === '/npm/there') json('{}')(request, response);
    else response.writeHead(307, { location: '/npm/there' }).end();
  };
  const body = Buffer.from('{}');
  assert.equal((await upstream.pass('POST', '/here', { maxBytes: 100, body })).status, 307);
  assert.equal((await upstream.pass('GET', '/here', { maxBytes: 100 })).status, 200);
});

test('an upstream that is this very process is refused', async () => {
  const server = createHttpServer({
    role: 'test',
    logger: createLogger({ role: 'test', level: 'silent', write: () => undefined }),
    metrics: createMetrics('test'),
    trustProxy: [],
    via,
    handler: async () => jsonAnswer(200, {}),
  });
  const registry = `http://127.0.0.1:${await server.listen('127.0.0.1', 0)}`;
  await fails(createUpstream({ registry, tarballOrigins: [], client, via }).refuseOurselves(), /this registry itself/);
  const other = createUpstream({ registry, tarballOrigins: [], client, via: newVia() });
  await other.refuseOurselves();
  await server.close();
  await other.refuseOurselves();
});
