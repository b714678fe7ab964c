import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { sha256Hex } from '../../../src/core/hash.ts';
import { HEAD_HEADER } from '../../../src/door/answers.ts';
import { ask, type Question } from '../../support/ask.ts';
import { reached } from '../../support/reached.ts';
import { type LogServer, learned, SignedLog, serveLog } from '../../support/signed-log.ts';
import { startTestMirror } from '../../support/test-mirror.ts';
import { startWholeOrigin, type WholeOrigin } from '../../support/whole-origin.ts';

const DOOR = 'http://packages.example';
const hash = (label: string) => sha256Hex(Buffer.from(label));

/** A mirror that keeps a door in front of an origin. */
async function startDoor(t: TestContext, origin: string, now?: () => number) {
  const mirror = await startTestMirror(t, origin, { door: DOOR, freshnessMs: 60_000 }, now ? { now } : {});
  const atDoor = (path: string, question: Question = {}) =>
    ask(mirror.url, { target: path, ...question, headers: { host: 'packages.example', ...question.headers } });
  return { mirror, atDoor };
}

/** An origin that names heads as it likes, whatever its log says. */
function names(server: LogServer, heads: Readonly<Record<string, string>>): void {
  server.other = ({ url = '' }) => {
    const head = heads[url.slice(1)];
    const found = { status: 200, headers: { [HEAD_HEADER]: head ?? '' }, body: new Uint8Array(0) };
    return head ? found : { ...found, status: 404, headers: {} };
  };
}

const latest = async (reply: Promise<{ json<T>(): T }>) =>
  (await reply).json<{ 'dist-tags': Record<string, string> }>()['dist-tags'].latest;

/** Has a package learned by the origin, and followed by the mirror. */
async function learn(origin: WholeOrigin, path: string): Promise<number> {
  assert.ok((await origin.ask(path)).status < 500);
  return Number((await origin.ask('/-/federation/checkpoint')).body.toString().split('\n')[1]);
}

/** A mirror whose door has shown alpha@1.0.0, and whose log by now tells of 1.1.0, which others made the origin learn. */
async function startDoorBehind(t: TestContext) {
  const origin = await startWholeOrigin(t);
  origin.put('alpha');
  const { mirror, atDoor } = await startDoor(t, origin.door);
  assert.equal(await latest(atDoor('/alpha')), '1.0.0');
  origin.put('alpha', { '1.0.0': {}, '1.1.0': {} });
  origin.pass(300_000);
  await reached(mirror.follower, await learn(origin, '/alpha'));
  return { origin, atDoor };
}

test('a head that the origin names and its log does not hold is never served', async (t) => {
  const server = await serveLog(t, new SignedLog().add(learned('alpha')));
  names(server, { alpha: hash('another alpha'), beta: hash('beta') });
  const { mirror, atDoor } = await startDoor(t, server.url);
  const beta = await atDoor('/beta');
  assert.equal(beta.status, 502);
  assert.match(beta.error, /names a head that its log does not hold/);
  assert.equal((await atDoor('/alpha')).status, 502, 'the head of the log is made up here');
  const asked = server.asked.filter((line) => line.includes('/federation/head/'));
  assert.deepEqual(
    [...new Set(asked)],
    [`GET /-/federation/head/${hash('alpha')}`],
    'only what the log names is asked for',
  );
  const lines = mirror.log.lines.filter(({ level, msg }) => level === 'error' && /log does not hold/.test(msg));
  assert.deepEqual(
    lines.map(({ name }) => name),
    ['beta', 'alpha'],
  );
  assert.match(await (await fetch(`${mirror.url}/-/metrics`)).text(), /mirror_unlogged_heads_total{role="mirror"} 2/);
});

test('what others made the origin learn is known without asking it, and comes with the feed', async (t) => {
  const { origin, atDoor } = await startDoorBehind(t);
  const heads = await origin.metric('http_requests_total', { kind: 'packument' });
  assert.equal(await latest(atDoor('/alpha')), '1.1.0', 'inside the freshness bound');
  assert.equal(await origin.metric('http_requests_total', { kind: 'packument' }), heads);
});

test('a version that the log withdrew is 451 with the reason, also when the origin is away', async (t) => {
  const origin = await startWholeOrigin(t);
  origin.put('alpha', { '1.0.0': {}, '1.1.0': {} });
  let ahead = 0;
  const { mirror, atDoor } = await startDoor(t, origin.door, () => Date.now() + ahead);
  assert.equal((await atDoor('/alpha/-/alpha-1.1.0.tgz')).status, 200);
  origin.put('alpha', { '1.0.0': {} });
  origin.pass(300_000);
  await reached(mirror.follower, await learn(origin, '/alpha'));
  assert.equal(await latest(atDoor('/alpha')), '1.0.0');
  await origin.close();
  ahead = 86_400_000;
  for (const path of ['/alpha/1.1.0', '/alpha/-/alpha-1.1.0.tgz']) {
    const gone = await atDoor(path);
    assert.equal(gone.status, 451, path);
    assert.match(gone.error, /alpha@1\.1\.0 was withdrawn: /);
  }
  assert.equal((await atDoor('/alpha/-/alpha-1.0.0.tgz')).status, 502, 'it was never asked for here');
  assert.equal((await atDoor('/alpha/9.9.9')).status, 404);
});

test('a package that the log withdrew is 451 with the reason, also when the origin is away', async (t) => {
  const withdraw = {
    kind: 'withdraw',
    name: 'alpha',
    version: '*',
    deadline: 3_600,
    reason: 'it was malware',
  } as const;
  const server = await serveLog(t, new SignedLog().add(learned('alpha')).add(withdraw));
  const { mirror, atDoor } = await startDoor(t, server.url);
  await reached(mirror.follower, 4);
  await server.close();
  const gone = await atDoor('/alpha');
  assert.equal(gone.status, 451);
  assert.match(gone.error, /alpha was withdrawn: it was malware/);
});

test('where the content of a new head can’t be had, the one before it is served, marked stale', async (t) => {
  const { origin, atDoor } = await startDoorBehind(t);
  await origin.close();
  const reply = await atDoor('/alpha');
  assert.equal(reply.json<{ 'dist-tags': { latest: string } }>()['dist-tags'].latest, '1.0.0');
  assert.match(String(reply.headers['cache-status']), /stale/);
});
