import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import ssri from 'ssri';
import { CaptureError, capturedPackument } from './capture.ts';
import { loopbackNetwork, startForwarder } from './forwarder.ts';
import { startUpstream } from './upstream.ts';
import type { Manifest, Packument } from './upstream-packages.ts';

const reason = await capturedPackument('is-odd').then(
  () => false,
  (error) => {
    if (error instanceof CaptureError && process.env.OPEN_REGISTRY_TESTS_STRICT !== '1')
      return 'no package could be captured';
    throw error;
  },
);
const real = { skip: reason };

async function json<T>(url: string, init?: RequestInit): Promise<T> {
  const response = await fetch(url, init);
  assert.equal(response.status, 200, url);
  return (await response.json()) as T;
}

test('the upstream serves real packages whose signatures and hashes hold', real, async (t) => {
  const upstream = await startUpstream(t);
  const packument = await json<Packument>(`${upstream.url}/is-odd`);
  const manifest = await json<Manifest>(`${upstream.url}/is-odd/3.0.1`);
  assert.deepEqual(packument.versions['3.0.1'], manifest);
  assert.ok(packument.time['3.0.1']);
  const bytes = Buffer.from(await (await fetch(manifest.dist.tarball)).arrayBuffer());
  assert.ok(ssri.checkData(bytes, manifest.dist.integrity ?? ''));
  const { keys } = await json<{ keys: { key: string }[] }>(`${upstream.url}/-/npm/v1/keys`);
  const key = createPublicKey({ key: Buffer.from(keys[0]?.key ?? '', 'base64'), format: 'der', type: 'spki' });
  const signed = Buffer.from(`is-odd@3.0.1:${manifest.dist.integrity}`);
  assert.ok(verify('sha256', signed, key, Buffer.from(manifest.dist.signatures?.[0]?.sig ?? '', 'base64')));
  assert.equal(upstream.count(/\.tgz$/), 1);
});

test('the upstream answers conditional requests, and abbreviates', real, async (t) => {
  const { url } = await startUpstream(t);
  const first = await fetch(`${url}/left-pad`, { headers: { accept: 'application/vnd.npm.install-v1+json' } });
  const packument = (await first.json()) as Packument;
  assert.ok(packument.versions['1.3.0']?.deprecated);
  assert.equal(packument.versions['1.3.0']?.description, undefined);
  const headers = { accept: 'application/vnd.npm.install-v1+json', 'if-none-match': first.headers.get('etag') ?? '' };
  assert.equal((await fetch(`${url}/left-pad`, { headers })).status, 304);
});

test('the upstream withdraws and changes what it said', real, async (t) => {
  const { url, packages } = await startUpstream(t);
  packages.withdraw('is-odd', '3.0.1');
  packages.mutate('is-odd', (packument) => {
    packument.description = 'changed';
  });
  const packument = await json<Packument>(`${url}/is-odd`);
  assert.equal(packument.versions['3.0.1'], undefined);
  assert.equal(packument.description, 'changed');
  assert.equal((await fetch(`${url}/is-odd/-/is-odd-3.0.1.tgz`)).status, 404);
  packages.withdraw('is-odd');
  assert.equal((await fetch(`${url}/is-odd`)).status, 404);
});

test('the upstream breaks in the ways it is told', real, async (t) => {
  const upstream = await startUpstream(t);
  const url = `${upstream.url}/is-odd/-/is-odd-3.0.1.tgz`;
  const bytes = async () => Buffer.from(await (await fetch(url)).arrayBuffer());
  const right = await bytes();
  upstream.fault(/\.tgz$/, 'corrupt');
  assert.equal((await bytes()).length, right.length);
  assert.notDeepEqual(await bytes(), right);
  upstream.fault(/\.tgz$/, 'error');
  assert.equal((await fetch(url)).status, 500);
  upstream.fault(/\.tgz$/, 'truncated');
  await assert.rejects(bytes());
  upstream.fault(/\.tgz$/, 'html');
  assert.match((await bytes()).toString(), /^<!doctype html>/);
  upstream.fault(/\.tgz$/, 'silent');
  await assert.rejects(fetch(url, { signal: AbortSignal.timeout(100) }), { name: 'TimeoutError' });
  upstream.fault(/\.tgz$/, 'endless');
  const endless = (await fetch(url)).body?.getReader();
  for (let received = 0; received <= right.length; ) received += (await endless?.read())?.value?.length ?? 0;
  await endless?.cancel();
  upstream.mend();
  assert.deepEqual(await bytes(), right);
  await upstream.down();
  await assert.rejects(fetch(url));
  await upstream.up();
  assert.deepEqual(await bytes(), right);
});

test('the upstream has packages of the test’s own making', async (t) => {
  const { url, packages } = await startUpstream(t);
  const version = {
    name: 'made',
    version: '1.0.0',
    dist: { tarball: 'http://captured.invalid/made/-/made-1.0.0.tgz' },
  };
  const packument = { name: 'made', 'dist-tags': { latest: '1.0.0' }, versions: { '1.0.0': version }, time: {} };
  packages.put({ packument, tarballs: { '1.0.0': Buffer.from('tarball') } });
  const { dist } = await json<Manifest>(`${url}/made/latest`);
  assert.equal(dist.tarball, `${url}/made/-/made-1.0.0.tgz`);
  assert.equal(await (await fetch(dist.tarball)).text(), 'tarball');
});

test('the forwarder comes from the network that it is told', async (t) => {
  const server = createServer((request, response) => response.end(request.socket.remoteAddress)).listen(0, '127.0.0.1');
  t.after(() => server.close().closeAllConnections());
  const forwarder = await startForwarder(t);
  for (const number of [1, 2, 300]) {
    forwarder.route((server.address() as AddressInfo).port, loopbackNetwork(number));
    assert.equal(await (await fetch(forwarder.url)).text(), loopbackNetwork(number));
  }
  assert.equal(new Set([1, 2, 257, 258, 300].map(loopbackNetwork)).size, 5);
  assert.equal(forwarder.connections(), 3);
});
