import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { sha512Hex } from '../../../src/core/hash.ts';
import type { ProbeResult } from '../../../src/core/health.ts';
import { sriOf } from '../../../src/core/integrity.ts';
import { createVisit } from '../../../src/io/visit.ts';
import { createProber, type ProbeBlob, type ProberDeps, probeHost } from '../../../src/origin/hosts/probe.ts';
import { randomBlob } from '../../support/test-mirror.ts';

const bytes = randomBlob(1_000);
const HOST = '0123456789abcdef';
const blob = { sha512: sha512Hex(bytes), size: bytes.length, name: '@scope/alpha', version: '1.0.0' };

async function look(t: TestContext, listener: RequestListener, pick: ProbeBlob | null = blob): Promise<ProbeResult> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(() => server.close());
  return lookAt((server.address() as AddressInfo).port, pick);
}

function lookAt(port: number, pick: ProbeBlob | null): Promise<ProbeResult> {
  const target = { id: HOST, url: `http://127.0.0.1:${port}` };
  return probeHost(
    depsWith(async () => pick),
    target,
    new AbortController().signal,
  );
}

function depsWith(pickBlob: ProberDeps['pickBlob']): ProberDeps {
  return {
    visit: createVisit(true),
    targets: () => [],
    pickBlob,
    markFor: () => 'mark',
    hostsVkey: '',
    logName: '',
    record: () => undefined,
    withdrawnFor: async () => null,
    recordWithdrawn: () => undefined,
    intervalMs: 1,
  };
}

describe('a look at a host', () => {
  it('asks as a client does that followed a redirect', async (t) => {
    const result = await look(t, ({ method, url, headers }, response) => {
      const asked = [method, url, /^npm\//.test(headers['user-agent'] ?? ''), headers.accept];
      assert.equal(headers['pacote-integrity'], sriOf({ algorithm: 'sha512', hex: blob.sha512 }));
      assert.equal(headers['pacote-pkg-id'], 'registry:@scope/alpha@1.0.0');
      assert.deepEqual(asked, ['GET', `/-/federation/blob/sha512/${blob.sha512}?for=mark`, true, '*/*']);
      response.end(bytes);
    });
    assert.deepEqual(result, { kind: 'good' });
  });

  const answers: [string, RequestListener, ProbeResult][] = [
    ['other bytes', (_, response) => response.end(randomBlob(1_000)), { kind: 'wrong-bytes' }],
    ['more bytes', (_, response) => response.end(randomBlob(1_001)), { kind: 'wrong-bytes' }],
    ['fewer bytes', (_, response) => response.end(bytes.subarray(1)), { kind: 'wrong-bytes' }],
    [
      'an error',
      (_, response) => response.writeHead(503).end('x'.repeat(2_000)),
      { kind: 'failed', detail: 'status 503' },
    ],
    [
      'a redirect',
      (_, response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
      { kind: 'failed', detail: 'status 302' },
    ],
  ];
  // Each of these spoils the bytes for one client and is made good again by another.
  const codings: [string, (bytes: Uint8Array) => Uint8Array][] = [
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
    ['gzip, gzip', (bytes) => gzipSync(gzipSync(bytes))],
    ['unheard-of', (bytes) => bytes],
  ];
  for (const [coding, code] of codings) {
    answers.push([
      `the content coding ${coding}`,
      (_, response) => response.writeHead(200, { 'content-encoding': coding }).end(code(bytes)),
      { kind: 'failed', detail: `content coding ${coding}` },
    ]);
  }
  for (const [what, listener, expected] of answers) {
    it(`sees ${what}`, async (t) => assert.deepEqual(await look(t, listener), expected));
  }

  it('sees a body that is cut short', async (t) => {
    const result = await look(t, (_, response) => {
      response.writeHead(200, { 'content-length': '1000' }).write(bytes.subarray(0, 10));
      response.destroy();
    });
    assert.equal(result.kind, 'failed');
  });

  it('sees bytes after the end, at which npm stumbles', async (t) => {
    for (const connection of ['keep-alive', 'close']) {
      const result = await look(t, (_, response) => {
        const head = `HTTP/1.1 200 OK\r\nconnection: ${connection}\r\ncontent-length: ${bytes.length}\r\n\r\n`;
        response.socket?.end(Buffer.concat([Buffer.from(head), bytes, Buffer.from('more')]));
      });
      assert.equal(result.kind, 'failed', connection);
    }
  });

  it('comes anew each time: a host that only keeps old connections is not there', async (t) => {
    const ports: (number | undefined)[] = [];
    const server = createServer(({ socket }, response) => {
      ports.push(socket.remotePort);
      response.end(bytes);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    assert.deepEqual(await lookAt(port, blob), { kind: 'good' });
    assert.deepEqual(await lookAt(port, blob), { kind: 'good' });
    assert.equal(new Set(ports).size, 2);
  });

  it('sees that nobody listens', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    assert.deepEqual(await lookAt(port, blob), { kind: 'refused' });
  });

  it('is for the tarball that a client came back for, until the host gives it right or sends it back', async (t) => {
    const large = { ...blob, sha512: sha512Hex(randomBlob(2_000)), size: 2_000 };
    const asked: boolean[] = [];
    let answerLarge: RequestListener = (_, response) => response.end(randomBlob(1_000));
    const server = createServer((request, response) => {
      const isLarge = request.url?.includes(large.sha512) ?? false;
      asked.push(isLarge);
      if (isLarge) answerLarge(request, response);
      else response.end(bytes);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const results: string[] = [];
    const deps = depsWith(async (doubted) => (doubted === large.sha512 ? large : blob));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const prober = createProber({
      ...deps,
      targets: () => [{ id: HOST, url }],
      record: (_, result) => void results.push(result.kind),
    });
    t.after(() => prober.close());
    await prober.probeNow(HOST);
    await prober.probeNow(HOST, large.sha512);
    await prober.probeNow(HOST);
    answerLarge = (_, response) => response.writeHead(302, { location: '/' }).end();
    await prober.probeNow(HOST);
    await prober.probeNow(HOST);
    assert.deepEqual(asked, [false, true, true, true, false]);
    assert.deepEqual(results, ['good', 'wrong-bytes', 'wrong-bytes', 'failed', 'good']);
  });

  it('looks at the list of hosts while there is no tarball', async (t) => {
    const paths: string[] = [];
    const result = await look(
      t,
      ({ url }, response) => {
        paths.push(url ?? '');
        response.end('no note');
      },
      null,
    );
    assert.deepEqual([paths, result], [['/-/federation/hosts'], { kind: 'wrong-bytes' }]);
  });
});
