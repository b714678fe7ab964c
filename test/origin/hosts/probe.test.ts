import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { sha512Hex } from '../../../src/core/hash.ts';
import type { ProbeResult } from '../../../src/core/health.ts';
import { sriOf } from '../../../src/core/integrity.ts';
import { createHttpClient } from '../../../src/io/http-client.ts';
import { type ProbeBlob, probeHost } from '../../../src/origin/hosts/probe.ts';
import { randomBlob } from '../../support/test-mirror.ts';

const bytes = randomBlob(1_000);
const blob = { sha512: sha512Hex(bytes), size: bytes.length, name: '@scope/alpha', version: '1.0.0' };

async function look(t: TestContext, listener: RequestListener, pick: ProbeBlob | null = blob): Promise<ProbeResult> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(() => server.close());
  return lookAt(t, (server.address() as AddressInfo).port, pick);
}

function lookAt(t: TestContext, port: number, pick: ProbeBlob | null): Promise<ProbeResult> {
  const client = createHttpClient({ userAgent: 'test', allowPrivate: true });
  t.after(() => client.close());
  const deps = {
    client,
    targets: () => [],
    pickBlob: async () => pick,
    markFor: () => 'mark',
    hostsVkey: '',
    logName: '',
    record: () => undefined,
    withdrawnFor: async () => null,
    recordWithdrawn: () => undefined,
    intervalMs: 1,
  };
  const target = { id: '0123456789abcdef', url: `http://127.0.0.1:${port}` };
  return probeHost(deps, target, new AbortController().signal);
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

  it('sees that nobody listens', async (t) => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    assert.deepEqual(await lookAt(t, port, blob), { kind: 'refused' });
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
