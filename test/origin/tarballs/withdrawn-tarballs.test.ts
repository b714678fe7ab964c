import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext, test } from 'node:test';
import { openFileBlobStore } from '../../../src/io/file-blob-store.ts';
import { startMeddler } from '../../support/meddler.ts';
import { freePort } from '../../support/processes.ts';
import type { TestMirror } from '../../support/test-mirror.ts';
import { until } from '../../support/until.ts';
import { newNetwork, pnpm } from '../../support/visitor.ts';
import { startHost, startWholeOrigin, type WholeOrigin } from '../../support/whole-origin.ts';

/** A host that says at once what it holds. */
const AT_ONCE = { cosigningTimes: { paceMs: 1, beatPaceMs: 1 } };
const LATER_MS = 400_000;
const DEADLINE_MS = 3_600_000;
const sha512Of = (bytes: Uint8Array) => createHash('sha512').update(bytes).digest('hex');
const blobPath = (bytes: Uint8Array) => `/-/federation/blob/sha512/${sha512Of(bytes)}`;

/** An origin with two packages of one version each, both of which it holds. */
async function startOrigin(t: TestContext) {
  const origin = await startWholeOrigin(t);
  const tarball = origin.put('alpha')['1.0.0'] as Buffer;
  const other = origin.put('beta')['1.0.0'] as Buffer;
  for (const name of ['alpha', 'beta']) {
    assert.equal((await origin.ask(`/${name}`)).status, 200);
    assert.equal((await origin.ask(`/${name}/-/${name}-1.0.0.tgz`)).status, 200);
  }
  return { origin, tarball, other };
}

async function withdraw(origin: WholeOrigin, name: string): Promise<void> {
  origin.upstream.packages.withdraw(name);
  origin.pass(LATER_MS);
  assert.equal((await origin.ask(`/${name}`)).status, 451);
}

const dropped = (origin: WholeOrigin, name: string) =>
  origin.log.until(({ msg, subject }) => msg === 'a withdrawn tarball was dropped' && subject === `${name}@1.0.0`);

/** Where the other package's tarball would be sent, and why not to whom. */
async function routeOf(origin: WholeOrigin) {
  type Page = { host?: { id: string }; excluded: { id: string; reason: string; why: string }[] };
  const question = { headers: pnpm, from: newNetwork() };
  const page = (await origin.ask('/-/federation/route/beta/-/beta-1.0.0.tgz', question)).json<Page>();
  return { to: page.host?.id ?? null, excluded: page.excluded };
}

const sizeOf = async (origin: WholeOrigin) =>
  Number((await origin.ask('/-/federation/checkpoint')).body.toString().split('\n')[1]);
const listed = (origin: WholeOrigin, { hostId }: TestMirror) => origin.hosts.list().find(({ id }) => id === hostId);

describe('a withdrawn tarball at the origin', () => {
  it('is dropped from its store, and stays away over a restart', async (t) => {
    const { origin, tarball, other } = await startOrigin(t);
    await withdraw(origin, 'alpha');
    await dropped(origin, 'alpha');
    assert.equal((await origin.ask(blobPath(tarball))).status, 451);
    await origin.close();
    const store = await openFileBlobStore(`${origin.data}/cache/tarballs`);
    const held = await Promise.all(
      [tarball, other].map((bytes) => store.has({ algorithm: 'sha512', hex: sha512Of(bytes) })),
    );
    await store.close();
    assert.deepEqual(held, [false, true]);
  });

  it('is fetched again when the upstream shows it again', async (t) => {
    const { origin, tarball } = await startOrigin(t);
    await withdraw(origin, 'alpha');
    await dropped(origin, 'alpha');
    origin.upstream.packages.restore('alpha');
    origin.pass(LATER_MS);
    assert.equal((await origin.ask('/alpha')).status, 200);
    assert.ok((await origin.ask(blobPath(tarball))).body.equals(tarball));
  });
});

/** What a host that was told to drop something serves of it all the same. */
async function startHoarder(t: TestContext, target: string, hoarded: Buffer) {
  const hoarder = { url: '', target, isHoarding: true };
  const server = createServer(async (request, response) => {
    if (hoarder.isHoarding && request.url === blobPath(hoarded)) return void response.end(hoarded);
    const answer = await fetch(hoarder.target + request.url, { redirect: 'manual' });
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(Buffer.from(await answer.arrayBuffer()));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close().closeAllConnections());
  hoarder.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return hoarder;
}

test('a host that goes on serving what was withdrawn is out of the pool past its deadline, and back once it stops', async (t) => {
  const { origin, tarball } = await startOrigin(t);
  const port = await freePort();
  const hoarder = await startHoarder(t, `http://127.0.0.1:${port}`, tarball);
  const host = await startHost(t, origin, { port, publicUrl: hoarder.url }, AT_ONCE);
  const honest = await startHost(t, origin, {}, AT_ONCE);
  await withdraw(origin, 'alpha');
  for (const one of [host, honest]) {
    await until('it showed what it holds', async () => listed(origin, one)?.size === (await sizeOf(origin)));
  }
  assert.equal(await origin.metric('host_withdrawn_probes_total'), 0, 'nobody is asked before the deadline');
  assert.deepEqual((await routeOf(origin)).excluded, []);

  origin.pass(DEADLINE_MS);
  await origin.log.until(({ msg, host: id }) => id === host.hostId && /goes on serving/.test(msg));
  const { to, excluded } = await routeOf(origin);
  assert.equal(to, honest.hostId);
  const why = 'it goes on serving what was withdrawn';
  assert.deepEqual(excluded, [{ id: host.hostId, url: hoarder.url, reason: 'withdrawal-kept', why }]);
  assert.equal(listed(origin, host)?.reason, why);
  assert.ok((await origin.metric('host_withdrawn_probes_total', { result: 'served' })) > 0);

  hoarder.isHoarding = false;
  await until('it is trusted again', async () => (await routeOf(origin)).excluded.length === 0);
  assert.equal(listed(origin, host)?.reason, null);
});

test('a host that is cut off from the log is out of the pool once the deadline has passed, and back once it follows', async (t) => {
  const { origin } = await startOrigin(t);
  const between = await startMeddler(t, origin.door);
  const logTimes = { originMs: 20, peersMs: 20, peersAwayMs: 20 };
  const cut = await startHost(t, origin, { origin: between.url }, { ...AT_ONCE, logTimes });
  const honest = await startHost(t, origin, {}, AT_ONCE);
  for (const one of [cut, honest]) {
    await until('it showed what it holds', async () => listed(origin, one)?.size === (await sizeOf(origin)));
  }
  between.fault(({ url }) => url?.includes('/tile/') ?? false, 'unavailable');
  await withdraw(origin, 'alpha');
  await until('it showed what it holds', async () => listed(origin, honest)?.size === (await sizeOf(origin)));
  assert.deepEqual((await routeOf(origin)).excluded, [], 'there is time until the deadline');

  origin.pass(DEADLINE_MS);
  const { to, excluded } = await routeOf(origin);
  assert.equal(to, honest.hostId);
  const why = 'it has not taken in a withdrawal whose deadline has passed';
  assert.deepEqual(excluded, [{ id: cut.hostId, url: cut.url, reason: 'withdrawal-missed', why }]);
  assert.equal(listed(origin, cut)?.reason, why);

  between.mend();
  await until('it follows again', async () => (await routeOf(origin)).excluded.length === 0);
});

test('what hosts must know and have dropped is known after a restart of the origin', async (t) => {
  const { origin } = await startOrigin(t);
  await withdraw(origin, 'alpha');
  await dropped(origin, 'alpha');
  await origin.close();
  const again = await startWholeOrigin(t, { upstream: origin.upstream, config: { data: origin.data } });
  again.pass(LATER_MS + DEADLINE_MS);
  assert.equal((await again.ask('/beta/-/beta-1.0.0.tgz')).status, 200);
  const host = await startHost(t, again, {}, AT_ONCE);
  await until('it showed what it holds', async () => (await routeOf(again)).to === host.hostId);
  again.pass(DEADLINE_MS + 1);
  await until(
    'it was asked',
    async () => (await again.metric('host_withdrawn_probes_total', { result: 'refused' })) > 0,
  );
  assert.deepEqual((await routeOf(again)).excluded, []);
});
