import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { runVerify } from '../../../src/cli/verify.ts';
import { ask, type Question } from '../../support/ask.ts';
import { startTestMirror } from '../../support/test-mirror.ts';
import type { Manifest } from '../../support/upstream-packages.ts';
import { startWholeOrigin, type WholeOrigin } from '../../support/whole-origin.ts';
import { writerThreads } from '../../support/writer-threads.ts';

const DOOR = 'http://packages.example';

type Packument = {
  versions: Record<string, Manifest>;
  'dist-tags': Record<string, string>;
  time: Record<string, string>;
};

/** A mirror that keeps `DOOR`, in front of an origin; its clock is moved apart from the origin's. */
async function startDoor(t: TestContext, origin: WholeOrigin, peers: string[] = [], upstream: string | null = null) {
  let ahead = 0;
  const config = { door: DOOR, peers, upstream, freshnessMs: 60_000 };
  const mirror = await startTestMirror(t, origin.door, config, { now: () => Date.now() + ahead });
  const atDoor = (path: string, question: Question = {}) =>
    ask(mirror.url, { target: path, ...question, headers: { host: 'packages.example', ...question.headers } });
  return {
    mirror,
    atDoor,
    pass: (ms: number) => {
      ahead += ms;
    },
  };
}

test('a mirror with a door answers as its origin does, with its own URLs', async (t) => {
  const origin = await startWholeOrigin(t);
  origin.put('@scope/alpha', { '1.0.0': { dependencies: { b: '1' } }, '1.1.0': { deprecated: 'old' } });
  const { atDoor } = await startDoor(t, origin);
  for (const accept of ['application/json', 'application/vnd.npm.install-v1+json']) {
    const theirs = (await origin.ask('/@scope%2falpha', { headers: { accept } })).body.toString();
    const ours = (await atDoor('/@scope%2falpha', { headers: { accept } })).body.toString();
    assert.equal(ours, theirs.replaceAll(origin.door, DOOR));
  }
  const tags = await atDoor('/-/package/@scope%2falpha/dist-tags');
  assert.deepEqual(tags.json(), { latest: '1.1.0' });
  const version = (await atDoor('/@scope%2falpha/latest')).json<Manifest>();
  assert.equal(version.dist.tarball, `${DOOR}/@scope/alpha/-/alpha-1.1.0.tgz`);
});

test('a large package comes as one form, and a new version of it as single blobs', async (t) => {
  const origin = await startWholeOrigin(t);
  // Long enough that the length which its origin states for HEAD is above what any small answer may have.
  const description = 'long '.repeat(400);
  const versions = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`1.${i}.0`, { description }]));
  origin.put('alpha', versions);
  const { atDoor, pass } = await startDoor(t, origin);
  assert.equal(Object.keys((await atDoor('/alpha')).json<Packument>().versions).length, 60);
  const forms = await origin.metric('http_requests_total', { kind: 'federation-form' });
  assert.equal(forms, 1);
  origin.put('alpha', { ...versions, '2.0.0': {} });
  origin.pass(300_000);
  pass(60_000);
  assert.equal((await atDoor('/alpha')).json<Packument>()['dist-tags'].latest, '2.0.0');
  assert.equal(await origin.metric('http_requests_total', { kind: 'federation-form' }), forms);
});

test('tarballs are served by the mirror itself, whatever the client', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = origin.put('alpha');
  const { atDoor } = await startDoor(t, origin);
  for (const agent of ['npm/11.0.0 node/v24', 'pnpm/12.0.0', 'got (x)', 'curl/8']) {
    const reply = await atDoor('/alpha/-/alpha-1.0.0.tgz', { headers: { 'user-agent': agent } });
    assert.deepEqual([reply.status, reply.body], [200, tarballs['1.0.0']]);
    assert.equal(reply.headers['cache-control'], 'public, max-age=300');
  }
  assert.equal((await atDoor('/alpha/-/alpha-9.9.9.tgz')).status, 404);
});

test('a version with no more than a sha1 is checked against that', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = origin.put('alpha');
  origin.upstream.packages.mutate('alpha', ({ versions }) => {
    delete versions['1.0.0']?.dist.integrity;
  });
  const { atDoor } = await startDoor(t, origin);
  for (let i = 0; i < 2; i++) {
    const reply = await atDoor('/alpha/-/alpha-1.0.0.tgz');
    assert.deepEqual([reply.status, reply.body], [200, tarballs['1.0.0']]);
  }
});

test('with the origin gone, tarballs come from the upstream where the operator names it, checked like all others', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = { alpha: origin.put('alpha'), beta: origin.put('beta'), weak: origin.put('weak') };
  const { packages } = origin.upstream;
  packages.mutate('weak', ({ versions }) => {
    delete versions['1.0.0']?.dist.integrity;
  });
  const { atDoor } = await startDoor(t, origin, [], origin.upstream.url);
  for (const name of ['alpha', 'beta', 'weak']) await atDoor(`/${name}`);
  await origin.close();

  for (const name of ['alpha', 'weak'] as const) {
    const reply = await atDoor(`/${name}/-/${name}-1.0.0.tgz`);
    assert.deepEqual([reply.status, reply.body], [200, tarballs[name]['1.0.0']]);
  }
  const metrics = (await atDoor('/-/metrics')).body.toString();
  assert.match(metrics, /mirror_fetches_total\{source="upstream",outcome="stored",role="mirror"\} 1/);
  origin.upstream.fault(/beta-1/, 'corrupt');
  const bad = await atDoor('/beta/-/beta-1.0.0.tgz');
  assert.deepEqual([bad.status, bad.error], [502, 'tarball of beta@1.0.0: no peer and no origin could give it now']);
});

test('with the origin gone, what is held goes on; what is not is said clearly; and it catches up', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = origin.put('alpha');
  const { atDoor, pass } = await startDoor(t, origin);
  await atDoor('/alpha');
  await atDoor('/alpha/-/alpha-1.0.0.tgz');
  const { data, upstream, port } = origin;
  await origin.close();
  pass(86_400_000);

  const stale = await atDoor('/alpha');
  assert.deepEqual([stale.status, stale.json<Packument>()['dist-tags']], [200, { latest: '1.0.0' }]);
  assert.match(String(stale.headers['cache-status']), /stale/);
  const held = await atDoor('/alpha/-/alpha-1.0.0.tgz');
  assert.deepEqual([held.status, held.body], [200, tarballs['1.0.0']]);
  const unknown = await atDoor('/beta');
  assert.equal(unknown.status, 502);
  assert.match(unknown.error, /origin/);
  assert.equal((await atDoor('/-/whoami')).status, 502);

  const again = await startWholeOrigin(t, { config: { data, port }, upstream });
  again.put('alpha', { '1.0.0': {}, '1.1.0': {} });
  again.pass(86_400_000);
  pass(60_000);
  assert.equal((await atDoor('/alpha')).json<Packument>()['dist-tags'].latest, '1.1.0');
});

test('a clock that is put back while the origin is away keeps the door from asking no longer', async (t) => {
  const origin = await startWholeOrigin(t);
  origin.put('alpha');
  const { atDoor, pass } = await startDoor(t, origin);
  await atDoor('/alpha');
  const { data, upstream, port } = origin;
  await origin.close();
  pass(86_400_000);
  assert.match(String((await atDoor('/alpha')).headers['cache-status']), /stale/);
  const again = await startWholeOrigin(t, { config: { data, port }, upstream });
  again.put('alpha', { '1.0.0': {}, '1.1.0': {} });
  again.pass(86_400_000);
  pass(-2 * 86_400_000);
  assert.equal((await atDoor('/alpha')).json<Packument>()['dist-tags'].latest, '1.1.0');
});

test('what the origin has not, or has withdrawn, is answered as the origin answers it', async (t) => {
  const origin = await startWholeOrigin(t);
  origin.put('alpha');
  const { atDoor, pass } = await startDoor(t, origin);
  assert.equal((await atDoor('/nothing')).status, 404);
  await atDoor('/alpha');
  origin.upstream.packages.withdraw('alpha');
  origin.pass(300_000);
  pass(60_000);
  const gone = await atDoor('/alpha');
  assert.equal(gone.status, 451);
  assert.match(gone.error, /withdrawn/);
});

test('writes, logins and audits are passed on with credentials, and the answers are never kept', async (t) => {
  const origin = await startWholeOrigin(t);
  const { atDoor } = await startDoor(t, origin);
  const refused = await atDoor('/alpha', { method: 'PUT', body: '{}', headers: { authorization: 'Bearer secret' } });
  assert.equal(refused.status, 403);
  assert.match(refused.error, /publish is refused/);
  assert.equal(refused.headers['cache-control'], 'no-store');
  assert.equal((await atDoor('/-/whoami')).status, 401);
  const search = await atDoor('/-/v1/search?text=alpha');
  assert.equal(search.status, 200);
});

test('a peer that lies about a head or a blob is passed over', async (t) => {
  const origin = await startWholeOrigin(t);
  const tarballs = origin.put('alpha');
  const peer = await startWholeOrigin(t);
  const { createServer } = await import('node:http');
  const liar = createServer((_, response) => response.writeHead(200).end('head/1\nname alpha\n'));
  await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve));
  t.after(() => liar.close());
  const { port } = liar.address() as { port: number };
  const { atDoor } = await startDoor(t, origin, [`http://127.0.0.1:${port}`, peer.door]);
  assert.deepEqual((await atDoor('/alpha')).json<Packument>()['dist-tags'], { latest: '1.0.0' });
  const { body } = await atDoor('/alpha/-/alpha-1.0.0.tgz');
  assert.equal(
    createHash('sha1').update(body).digest('hex'),
    createHash('sha1')
      .update(tarballs['1.0.0'] ?? '')
      .digest('hex'),
  );
});

test('a mirror with a door gives other mirrors its metadata by hash, when the origin answers no such question', async (t) => {
  const origin = await startWholeOrigin(t);
  const versions = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`1.${i}.0`, {}]));
  origin.put('alpha', versions);
  const first = await startDoor(t, origin);
  await first.atDoor('/alpha');
  const before = await origin.metric('http_requests_total', { kind: 'federation-form' });
  const second = await startDoor(t, origin, [first.mirror.url]);
  assert.equal(Object.keys((await second.atDoor('/alpha')).json<Packument>().versions).length, 30);
  assert.equal(await origin.metric('http_requests_total', { kind: 'federation-form' }), before);
  assert.equal(await origin.metric('http_requests_total', { kind: 'federation-head' }), 1);
});

test('a mirror with a door does not apply as a host, and says what it sees', async (t) => {
  const origin = await startWholeOrigin(t);
  const { mirror } = await startDoor(t, origin);
  await mirror.log.until(({ msg }) => /credentials of its users/.test(String(msg)));
  assert.deepEqual(origin.hosts.list(), []);
});

test('what it keeps of packages is verified, while it runs and when it has stopped', async (t) => {
  const origin = await startWholeOrigin(t);
  origin.put('alpha');
  const { mirror, atDoor } = await startDoor(t, origin);
  await atDoor('/alpha');
  await atDoor('/alpha/-/alpha-1.0.0.tgz');
  const lines: string[] = [];
  const verify = () => runVerify(mirror.data, (line) => lines.push(line));
  assert.equal(await verify(), 0, lines.join('\n'));
  await mirror.close();
  assert.equal(await verify(), 0, lines.join('\n'));
  assert.equal(lines.filter((line) => /1 package, 1 head: pages and both forms/.test(line)).length, 2);

  const index = new DatabaseSync(join(mirror.data, 'index-blobs.sqlite'));
  const [{ name }] = index.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' LIMIT 1").all() as [
    { name: string },
  ];
  index.exec(`DELETE FROM ${name} WHERE rowid = (SELECT max(rowid) FROM ${name})`);
  index.close();
  assert.equal(await verify(), 1, 'a blob that is missing is found');
});

test('a mirror with a door that can write no more is ill', async (t) => {
  const breakStores = writerThreads(t);
  const mirror = await startTestMirror(t, 'http://127.0.0.1:1', { door: DOOR });
  assert.equal((await fetch(`${mirror.url}/-/healthz`)).status, 200);
  await breakStores();
  assert.equal((await fetch(`${mirror.url}/-/healthz`)).status, 503);
  assert.ok(mirror.log.lines.some(({ level }) => level === 'fatal'));
});
