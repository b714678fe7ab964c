import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ask } from '../../support/ask.ts';
import { reached } from '../../support/reached.ts';
import { SignedLog, serveLog } from '../../support/signed-log.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { startTestMirror } from '../../support/test-mirror.ts';
import { startWholeOrigin, type WholeOrigin } from '../../support/whole-origin.ts';

const DOOR = 'http://packages.example';
const FRESHNESS_MS = 60_000;

/** A mirror that keeps a door, with a clock of its own. */
async function startDoor(t: TestContext, origin: string, data = tempFolder()) {
  let ahead = 0;
  const config = { door: DOOR, data, freshnessMs: FRESHNESS_MS };
  const mirror = await startTestMirror(t, origin, config, { now: () => Date.now() + ahead });
  const atDoor = (path: string) => ask(mirror.url, { target: path, headers: { host: 'packages.example' } });
  const pass = (ms: number) => {
    ahead += ms;
  };
  return { mirror, atDoor, pass, data };
}

/** How often the origin was asked for what. */
const requests = (origin: WholeOrigin, kinds: readonly string[]) =>
  Promise.all(kinds.map((kind) => origin.metric('http_requests_total', { kind })));

const sizeOf = async (origin: WholeOrigin) =>
  Number((await origin.ask('/-/federation/checkpoint')).body.toString().split('\n')[1]);

test('for a tarball alone neither the origin nor the door takes in the package', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = origin.put('@scope/alpha', { '1.0.0': {}, '1.1.0': {} });
  const { atDoor } = await startDoor(t, origin.door);
  const path = '/@scope/alpha/-/alpha-1.0.0.tgz';
  for (let time = 0; time < 2; time++) {
    const answer = await atDoor(path);
    assert.deepEqual([answer.status, answer.body], [200, tarballs['1.0.0']]);
  }
  assert.deepEqual(
    origin.upstream.requests.map(({ path }) => decodeURIComponent(path)).filter((one) => one.includes('alpha')),
    ['/@scope/alpha/1.0.0', path],
  );
  assert.deepEqual(
    await requests(origin, ['packument', 'tarball', 'federation-form', 'federation-head']),
    [0, 1, 0, 0],
  );
  const whole = await atDoor('/@scope%2falpha');
  assert.deepEqual(Object.keys(whole.json<{ versions: object }>().versions), ['1.0.0', '1.1.0'], 'asked for later');
});

test('of a package that the origin knows only the pages of its head are fetched, once', async (t) => {
  const origin = await startWholeOrigin(t);
  const versions = Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`1.${at}.0`, {}]));
  const tarballs = origin.put('alpha', versions);
  await origin.ask('/alpha');
  const { atDoor } = await startDoor(t, origin.door);
  for (const version of ['1.0.0', '1.59.0']) {
    assert.deepEqual((await atDoor(`/alpha/-/alpha-${version}.tgz`)).body, tarballs[version]);
  }
  // One page, and two tarballs.
  assert.deepEqual(await requests(origin, ['federation-form', 'federation-head', 'federation-blob']), [0, 1, 3]);
});

test('a tarball that is held is served with the origin gone, also after a restart; what is not known is said', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = origin.put('alpha', { '1.0.0': {}, '1.1.0': {} });
  const first = await startDoor(t, origin.door);
  await first.atDoor('/alpha/-/alpha-1.0.0.tgz');
  await first.mirror.close();
  await origin.close();
  const { atDoor } = await startDoor(t, origin.door, first.data);
  for (let time = 0; time < 2; time++) {
    const held = await atDoor('/alpha/-/alpha-1.0.0.tgz');
    assert.deepEqual([held.status, held.body], [200, tarballs['1.0.0']]);
    assert.match(String(held.headers['cache-status']), /stale/);
  }
  const unknown = await atDoor('/alpha/-/alpha-1.1.0.tgz');
  assert.equal(unknown.status, 502);
  assert.match(unknown.error, /origin/);
});

test('where the pages of a new head can’t be had, what the log said before goes on, marked stale', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = origin.put('alpha');
  await origin.ask('/alpha');
  const { atDoor, mirror } = await startDoor(t, origin.door);
  await atDoor('/alpha/-/alpha-1.0.0.tgz');
  origin.put('alpha', { '1.0.0': {}, '1.1.0': {} });
  origin.pass(300_000);
  await origin.ask('/alpha');
  await reached(mirror.follower, await sizeOf(origin));
  await origin.close();
  const held = await atDoor('/alpha/-/alpha-1.0.0.tgz');
  assert.deepEqual([held.status, held.body], [200, tarballs['1.0.0']]);
  assert.match(String(held.headers['cache-status']), /stale/);
});

test('a version that the upstream withdraws is gone once the freshness bound has passed', async (t) => {
  const origin = await startWholeOrigin(t);
  origin.put('alpha', { '1.0.0': {}, '1.1.0': {} });
  const { atDoor, pass } = await startDoor(t, origin.door);
  const path = '/alpha/-/alpha-1.1.0.tgz';
  assert.equal((await atDoor(path)).status, 200);
  origin.put('alpha', { '1.0.0': {} });
  origin.pass(300_000);
  assert.equal((await atDoor(path)).status, 200, 'inside the bound');
  pass(FRESHNESS_MS);
  const gone = await atDoor(path);
  assert.equal(gone.status, 451);
  assert.match(gone.error, /alpha@1\.1\.0 was withdrawn/);
});

test('a tarball that there is not is 404', async (t) => {
  const origin = await startWholeOrigin(t);
  origin.put('alpha');
  const { atDoor } = await startDoor(t, origin.door);
  for (const path of ['/alpha/-/alpha-9.9.9.tgz', '/nothing/-/nothing-1.0.0.tgz', '/alpha/-/beta-1.0.0.tgz']) {
    const answer = await atDoor(path);
    assert.equal(answer.status, 404, path);
    assert.match(answer.error, /\.tgz|no such|not in this registry/);
  }
});

test('a version that the origin has and its log does not hold is never served', async (t) => {
  const server = await serveLog(t, new SignedLog());
  server.other = () => ({ status: 200, headers: {}, body: new Uint8Array(0) });
  const { atDoor } = await startDoor(t, server.url);
  const answer = await atDoor('/alpha/-/alpha-1.0.0.tgz');
  assert.equal(answer.status, 502);
  assert.match(answer.error, /its log does not hold/);
});

test('an origin that is asked for no more than whether it has a version fetches no bytes for it', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = origin.put('alpha');
  const head = (headers: Record<string, string>) => origin.ask('/alpha/-/alpha-1.0.0.tgz', { method: 'HEAD', headers });
  const minimal = await head({ prefer: 'return=minimal' });
  assert.deepEqual([minimal.status, minimal.headers['preference-applied']], [200, 'return=minimal']);
  assert.equal(minimal.headers['content-length'], undefined);
  assert.equal(origin.upstream.count(/\.tgz$/), 0);
  assert.equal(await origin.metric('tarballs_total'), 0);
  assert.equal(Number((await head({})).headers['content-length']), tarballs['1.0.0']?.length);
});
