import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { UpstreamTimeoutError } from '../../src/core/errors.ts';
import { createVisit } from '../../src/io/visit.ts';

const visit = createVisit(true);
const options = { headers: {}, timeoutMs: 10_000, signal: new AbortController().signal };

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const text = async (answer: IncomingMessage) => `${await buffer(answer)}`;

test('gives the answer as it was sent, coded or a redirect', async (t) => {
  const coded = gzipSync('hello');
  const url = await serve(t, ({ headers }, response) => {
    assert.deepEqual([headers.connection, headers['x-mine']], ['keep-alive', 'yes']);
    response.writeHead(302, { location: '/elsewhere', 'content-encoding': 'gzip' }).end(coded);
  });
  const seen = await visit(`${url}/a`, { ...options, headers: { 'x-mine': 'yes' } }, async (answer) => {
    return [answer.statusCode, answer.headers.location, await buffer(answer)];
  });
  assert.deepEqual(seen, [302, '/elsewhere', coded]);
});

test('leaves no connection behind, whether the body was read or not', async (t) => {
  const closed: Promise<unknown>[] = [];
  const url = await serve(t, ({ socket }, response) => {
    closed.push(new Promise((resolve) => socket.once('close', resolve)));
    response.end('x'.repeat(1_000_000));
  });
  await visit(url, options, text);
  await visit(url, options, async (answer) => void answer.destroy());
  assert.equal(closed.length, 2);
  await Promise.all(closed);
});

test('fails where the answer is cut, goes on after its end, or is no HTTP', async (t) => {
  const raw = {
    cut: 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell',
    'cut in its chunks': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n',
    'longer than announced': 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello, you',
    'longer than announced, and then closed':
      'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello, you',
    'not ended by its last chunk': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nyou',
    'no HTTP': 'SSH-2.0-OpenSSH_9.9\r\n',
    'only a switch of protocols': 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
  };
  for (const [what, answer] of Object.entries(raw)) {
    const url = await serve(t, (_, response) => void response.socket?.end(answer));
    await assert.rejects(visit(url, options, text), Error, what);
  }
});

test('ends in time, and when it is told to', async (t) => {
  const asked = Promise.withResolvers<void>();
  const url = await serve(t, (_, response) => {
    response.write('then nothing');
    asked.resolve();
  });
  await assert.rejects(visit(url, { ...options, timeoutMs: 50 }, text), UpstreamTimeoutError);
  const abort = new AbortController();
  const visiting = visit(url, { ...options, signal: abort.signal }, text);
  await asked.promise;
  abort.abort(new Error('the origin is stopping'));
  await assert.rejects(visiting, /the origin is stopping/);
  await assert.rejects(visit(url, { ...options, signal: abort.signal }, text), /the origin is stopping/);
});

test('goes to no private address unless that is allowed, whatever its name', async (t) => {
  let visits = 0;
  const url = await serve(t, (_, response) => {
    visits++;
    response.end('hello');
  });
  const publicOnly = createVisit(false);
  for (const target of [url, url.replace('127.0.0.1', 'localhost'), url.replace('127.0.0.1', '[::ffff:127.0.0.1]')]) {
    await assert.rejects(publicOnly(target, options, text), /is private/, target);
  }
  assert.equal(visits, 0);
});
