import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { sha512Hex } from '../../../src/core/hash.ts';
import { HEAD_HEADER } from '../../../src/door/answers.ts';
import type { MirrorConfig } from '../../../src/mirror/options.ts';
import { ask } from '../../support/ask.ts';
import { startTestMirror, type TestMirror } from '../../support/test-mirror.ts';
import { until } from '../../support/until.ts';
import { startWholeOrigin, type WholeOrigin } from '../../support/whole-origin.ts';

const DOOR = 'http://packages.example';

/** Has packages learned by the origin. @returns their tarballs by name */
async function learned(origin: WholeOrigin, ...names: string[]): Promise<Map<string, Buffer>> {
  const tarballs = new Map<string, Buffer>();
  for (const name of names) {
    tarballs.set(name, origin.put(name)['1.0.0'] as Buffer);
    assert.equal((await origin.ask(`/${name.replace('/', '%2f')}`)).status, 200);
  }
  return tarballs;
}

const start = (t: TestContext, origin: WholeOrigin, config: Partial<MirrorConfig>): Promise<TestMirror> =>
  startTestMirror(t, origin.door, { door: DOOR, ...config }, { replicationPausesMs: [1, 1] });

const atDoor = (mirror: TestMirror, target: string) =>
  ask(mirror.url, { target, headers: { host: 'packages.example' } });
const holds = async (mirror: TestMirror, tarball: Buffer): Promise<boolean> => {
  const path = `/-/federation/blob/sha512/${sha512Hex(tarball)}`;
  return (await fetch(mirror.url + path, { method: 'HEAD' })).status === 200;
};
const position = async (mirror: TestMirror): Promise<number> => {
  const page = await (await fetch(`${mirror.url}/-/metrics`)).text();
  return Number(/open_registry_replicated_entries{role="mirror"} (\d+)/.exec(page)?.[1]);
};
const done = (mirror: TestMirror) =>
  until('all of the log was fetched ahead', async () => {
    await mirror.follower.catchUp();
    return (await position(mirror)) === mirror.follower.size();
  });

test('all packages are here before anybody asks, and are served when everything else is gone', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = await learned(origin, 'alpha', '@scope/beta');
  const mirror = await start(t, origin, { replicate: ['*'] });
  await done(mirror);
  for (const [name, tarball] of await learned(origin, 'gamma')) tarballs.set(name, tarball);
  await done(mirror);
  await origin.close();
  await origin.upstream.close();
  for (const [name, tarball] of tarballs) {
    assert.equal((await atDoor(mirror, `/${name.replace('/', '%2f')}`)).status, 200, name);
    const file = await atDoor(mirror, `/${name}/-/${name.replace(/^@scope\//, '')}-1.0.0.tgz`);
    assert.deepEqual([file.status, file.body], [200, tarball], name);
  }
});

test('a pattern picks what is fetched ahead; a host of the pool gives it out by hash', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = await learned(origin, '@types/node', '@types/express', 'express');
  const mirror = await start(t, origin, { replicate: ['@types/*'], door: null });
  await done(mirror);
  const held = await Promise.all([...tarballs].map(async ([name, tarball]) => [name, await holds(mirror, tarball)]));
  assert.deepEqual(held, [
    ['@types/node', true],
    ['@types/express', true],
    ['express', false],
  ]);
  const { headers } = await origin.ask('/@types%2fnode');
  assert.equal((await fetch(`${mirror.url}/-/federation/head/${headers[HEAD_HEADER]}`)).status, 200);
});

test('it goes on where it was, and begins anew for another pattern', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = await learned(origin, 'alpha', 'beta');
  const first = await start(t, origin, { replicate: ['alpha'] });
  await done(first);
  await first.close();
  const asked = await origin.metric('http_requests_total', { kind: 'federation-blob' });
  const second = await start(t, origin, { data: first.data, replicate: ['alpha'] });
  assert.equal(await position(second), first.follower.size());
  await done(second);
  assert.equal(await origin.metric('http_requests_total', { kind: 'federation-blob' }), asked);
  assert.equal(await holds(second, tarballs.get('beta') as Buffer), false);
  await second.close();
  const third = await start(t, origin, { data: first.data, replicate: ['alpha', 'beta'] });
  await done(third);
  assert.equal(await holds(third, tarballs.get('beta') as Buffer), true);
});

test('it stops when the disk budget is used up, and says so', async (t) => {
  const origin = await startWholeOrigin(t);
  const names = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta'];
  const tarballs = [...(await learned(origin, ...names)).values()];
  const diskBudgetBytes = Math.floor(tarballs.reduce((sum, { length }) => sum + length, 0) / 2);
  const mirror = await start(t, origin, { replicate: ['*'], diskBudgetBytes });
  const line = await mirror.log.until(({ msg }) => /fetching ahead stops/.test(msg));
  assert.match(String(line.reason), /disk budget of \d+ bytes is used up/);
  assert.match(await (await fetch(`${mirror.url}/-/metrics`)).text(), /evictions_total{role="mirror"} 0/);
});

test('what can’t be had is given up, tells so, and holds up nothing', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = await learned(origin, 'alpha', 'beta');
  origin.upstream.fault(/alpha-1\.0\.0\.tgz/, 'missing');
  const mirror = await start(t, origin, { replicate: ['*'] });
  const line = await mirror.log.until(({ msg }) => /could not be fetched ahead/.test(msg));
  assert.equal(line.name, 'alpha');
  await done(mirror);
  assert.equal(await holds(mirror, tarballs.get('beta') as Buffer), true);
});
