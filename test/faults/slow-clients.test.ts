import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { createHttpServer, type Handler, type HttpServer, type HttpServerOptions } from '../../src/io/http-server.ts';
import { createMetrics } from '../../src/io/metrics.ts';
import { ask, sendRaw } from '../support/ask.ts';
import { bytesInUse, crowdOf, gather, gone, openSockets, scatter, socketsBack, trickle } from '../support/crowd.ts';
import { lifetime } from '../support/lifetime.ts';
import { LogLines } from '../support/log-lines.ts';
import { madePackage, sriOf } from '../support/made-package.ts';
import { until } from '../support/until.ts';
import { startHost, startWholeOrigin, type WholeOrigin } from '../support/whole-origin.ts';

const MIB = 1024 * 1024;
const TARBALL = '/large/-/large-1.0.0.tgz';
const life = lifetime();
const large = randomBytes(16 * MIB);
let origin: WholeOrigin;
let ports: number[];
let quiet: number;

const requestFor = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
const CLOSE = 'Connection: close\r\n';

before(async () => {
  origin = await startWholeOrigin(life, { times: { probeIntervalMs: 3_600_000 } });
  origin.put('plain');
  const shasum = createHash('sha1').update(large).digest('hex');
  const made = madePackage('large', { '1.0.0': { dist: { integrity: sriOf(large), shasum } as never } });
  origin.upstream.packages.put({ ...made, tarballs: { '1.0.0': large } });
  for (const path of ['/plain', '/plain/-/plain-1.0.0.tgz', '/large', TARBALL]) await origin.ask(path);
  ports = [origin.port, Number(new URL((await startHost(life, origin)).url).port)];
  // The servers' own connections to each other come and go.
  quiet = openSockets() + 8;
});

afterEach(async () => {
  await scatter();
  await socketsBack(quiet);
});

after(() => {
  assert.deepEqual(
    origin.log.lines.filter(({ level }) => level === 'error'),
    [],
  );
});

/** Others notice nothing. */
async function assertServes(): Promise<void> {
  for (const path of ['/plain', '/plain/-/plain-1.0.0.tgz', '/-/ping']) {
    const started = performance.now();
    assert.equal((await origin.ask(path)).status, 200);
    assert.ok(performance.now() - started < 2_000, `${path} took long`);
  }
}

describe('clients that do nothing', () => {
  it('by the thousand are no burden to others, and leave nothing behind', async () => {
    const inUse = bytesInUse();
    // One says nothing, one stops in its headers, one keeps its connection after an answer.
    const words = ['', 'GET /plain HTTP/1.1\r\nHost: local', requestFor('/-/ping')];
    for (const [at, port] of ports.entries()) {
      const crowd = await gather(port, crowdOf(at === 0 ? 2_000 : 200), (client) => words[client % 3] ?? '');
      await Promise.all(crowd.filter((_, at) => at % 3 === 2).map((socket) => once(socket, 'data')));
      for (let round = 0; round < 10; round += 1) await assertServes();
      await scatter();
      await socketsBack(quiet);
    }
    const grown = bytesInUse() - inUse;
    assert.ok(grown < 8 * MIB, `${grown} bytes are still in use`);
  });

  it('but listen to the feed have their bounds, and make room when they leave', async () => {
    const crowd = await gather(origin.port, crowdOf(1_000), () => requestFor('/-/federation/changes'));
    const firsts = await Promise.all(crowd.map((socket) => once(socket, 'data')));
    for (const [piece] of firsts) assert.match(String(piece), /^HTTP\/1\.1 200 /);
    await assertServes();
    if (crowd.length === 1_000) {
      const { status, error } = await origin.ask('/-/federation/changes');
      assert.equal(status, 429);
      assert.match(error, /feeds are open already/);
    }
    await scatter();
    await socketsBack(quiet);
    const [one] = await gather(origin.port, 1, () => requestFor('/-/federation/changes'));
    assert.match(String((await once(one as Socket, 'data'))[0]), /^HTTP\/1\.1 200 /);
  });
});

describe('clients that are slow', () => {
  it('with every byte of their request are answered', async () => {
    for (const port of ports) {
      const crowd = await gather(port, 20);
      const answers = crowd.map((socket) => text(socket));
      await Promise.all(crowd.map((socket) => trickle(socket, requestFor('/-/healthz', CLOSE))));
      for (const answer of await Promise.all(answers)) assert.match(answer, /^HTTP\/1\.1 200 /);
    }
  });

  it('to read hold no more of an answer than the next piece, and get all of it in the end', async () => {
    const inUse = bytesInUse();
    const crowd = await gather(origin.port, 6, () => requestFor(TARBALL, CLOSE));
    for (let round = 0; round < 10; round += 1) await assertServes();
    const held = bytesInUse() - inUse;
    assert.ok(held < MIB * crowd.length, `${held} bytes are held for ${crowd.length} clients that read nothing`);
    const digests = await Promise.all(crowd.map(bodyDigest));
    assert.deepEqual(new Set(digests), new Set([createHash('sha512').update(large).digest('hex')]));
  });
});

describe('clients that go too far', () => {
  it('with headers, in as many pieces as they like, are told so', async () => {
    for (const port of ports) {
      const [socket] = await gather(port, 1, () => 'GET /plain HTTP/1.1\r\nHost: a\r\n');
      const answer = text(socket as Socket);
      for (let piece = 0; piece < 33; piece += 1) socket?.write(`x-${piece}: ${'y'.repeat(1_000)}\r\n`);
      assert.match(await answer, /^HTTP\/1\.1 431 [\s\S]*"error":"the headers are larger than/);
    }
  });

  it('with requests sent ahead are answered in order, up to a hundred', async () => {
    for (const port of ports) {
      const paths = Array.from({ length: 100 }, (_, at) => (at % 2 === 0 ? '/-/healthz' : '/-/..'));
      const requests = paths.map((path, at) => requestFor(path, at === paths.length - 1 ? CLOSE : ''));
      const answers = (await sendRaw(port, requests.join(''))).match(/HTTP\/1\.1 \d+/g) ?? [];
      assert.deepEqual(
        answers,
        paths.map((path) => (path === '/-/..' ? 'HTTP/1.1 400' : 'HTTP/1.1 200')),
      );
    }
  });

  it('and send thousands are cut off', async () => {
    const crowd = await gather(origin.port, 5, () => requestFor(TARBALL).repeat(5_000));
    await Promise.all(crowd.map((socket) => gone(socket.resume())));
    await assertServes();
  });
});

describe('clients that leave', () => {
  const body = JSON.stringify({ plain: ['1.0.0'] });
  const bulk = '/-/npm/v1/security/advisories/bulk';
  const requests = [
    requestFor('/plain', 'Accept: application/json\r\n'),
    requestFor(TARBALL),
    `POST ${bulk} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    `POST ${bulk} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  ];

  for (const how of ['close', 'cut'] as const) {
    it(`${how} their connection anywhere in a request do no harm`, async () => {
      for (const port of ports) {
        const parts = requests.flatMap((request) => beginningsOf(request));
        const crowd = await gather(port, parts.length, (at) => parts[at] ?? '');
        const left = crowd.map((socket) => gone(socket.resume()));
        for (const socket of crowd) how === 'close' ? socket.end() : socket.resetAndDestroy();
        await Promise.all(left);
      }
      await assertServes();
    });
  }

  it('may not be there to read, once they closed their side: nothing goes on for them', async () => {
    for (const path of ['/plain', TARBALL, '/-/federation/changes']) {
      const [socket] = await gather(origin.port, 1, () => requestFor(path));
      const left = gone((socket as Socket).resume());
      socket?.end();
      await left;
    }
  });
});

describe('a server with short times', () => {
  const log = new LogLines('test');
  const times = { headersMs: 50, requestMs: 100, keepAliveMs: 50, idleMs: 300, checkMs: 10 };
  let server: HttpServer;
  let answering: Handler;

  async function serve(handler: Handler, more: Partial<HttpServerOptions> = {}): Promise<number> {
    answering = handler;
    const given = { role: 'test', logger: log.logger, metrics: createMetrics('test'), trustProxy: [], times };
    server = createHttpServer({ ...given, handler: (incoming) => answering(incoming), ...more });
    return server.listen('127.0.0.1', 0);
  }

  beforeEach(() => {
    log.lines.length = 0;
  });
  afterEach(async () => {
    await server.close();
    assert.deepEqual(
      log.lines.filter(({ level }) => level === 'error'),
      [],
    );
  });

  const half = {
    headers: 'GET / HTTP/1.1\r\nHost: a\r\n',
    body: 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1234',
  };
  for (const [what, sent] of Object.entries(half)) {
    it(`tells a client whose ${what} never end`, async () => {
      const port = await serve(async (incoming) => ({ status: 200, headers: {}, body: await incoming.body(100) }));
      const answer = await sendRaw(port, sent);
      assert.match(answer, /^HTTP\/1\.1 408 [\s\S]*"error":"the request took too long to arrive"/);
      await until('the request is over', () => server.active() === 0);
    });
  }

  it('ends connections that are kept for nothing', async () => {
    const port = await serve(async () => ({ status: 204, headers: {}, body: null }));
    assert.match(await sendRaw(port, requestFor('/')), /^HTTP\/1\.1 204 /);
  });

  it('lets go of an answer that nobody reads', async () => {
    let pieces = 0;
    const released = Promise.withResolvers<void>();
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; ; pieces += 1) yield new Uint8Array(64 * 1024);
    }
    const port = await serve(async () => ({ status: 200, headers: {}, body: endless(), onClose: released.resolve }));
    await gather(port, 1, () => requestFor('/'));
    await released.promise;
    assert.ok(pieces < 512, `${pieces} pieces of 64 KiB were made for a client that read none`);
  });

  it('makes one answer at a time for a client that sends requests ahead', async () => {
    let started = 0;
    const gate = Promise.withResolvers<void>();
    const port = await serve(async () => {
      started += 1;
      if (started === 1) await gate.promise;
      return { status: 200, headers: {}, body: Buffer.from(`${started}`) };
    });
    const answers = sendRaw(port, requestFor('/').repeat(9) + requestFor('/', CLOSE));
    await ask(`http://127.0.0.1:${port}/`);
    assert.equal(started, 2, 'the first of those, and the one of another client');
    gate.resolve();
    assert.equal((await answers).match(/HTTP\/1\.1 200/g)?.length, 10);
  });
});

/** SHA-512 of the body that a client reads from now on. */
async function bodyDigest(socket: Socket): Promise<string> {
  const bytes = Buffer.concat(await socket.toArray());
  return createHash('sha512')
    .update(bytes.subarray(bytes.indexOf('\r\n\r\n') + 4))
    .digest('hex');
}

/** Some of the beginnings of a text, the whole of it not included. */
function beginningsOf(whole: string): string[] {
  const ends = Array.from({ length: Math.ceil(whole.length / 5) }, (_, at) => at * 5);
  return [...ends, whole.length - 1].map((end) => whole.slice(0, end));
}
