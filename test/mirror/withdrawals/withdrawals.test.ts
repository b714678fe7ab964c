import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { runVerify } from '../../../src/cli/verify.ts';
import { openFileBlobStore } from '../../../src/io/file-blob-store.ts';
import type { MirrorConfig, MirrorDeps } from '../../../src/mirror/options.ts';
import { ask, follow } from '../../support/ask.ts';
import { madePackage, sriOf } from '../../support/made-package.ts';
import { startMeddler } from '../../support/meddler.ts';
import { reached } from '../../support/reached.ts';
import { spawnMirror, startMirrorProcess } from '../../support/spawn-mirror.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { startTestMirror, type TestMirror } from '../../support/test-mirror.ts';
import { until } from '../../support/until.ts';
import { newNetwork, pnpm } from '../../support/visitor.ts';
import { startHost, startWholeOrigin, type WholeOrigin } from '../../support/whole-origin.ts';

const DOOR = 'http://packages.example';
const PAUSES = { firstMs: 5, lastMs: 20 };
/** Longer than what is known of a package is fresh, and than the origin needs to know of a withdrawal itself. */
const LATER_MS = 400_000;

const sha512Of = (bytes: Uint8Array) => createHash('sha512').update(bytes).digest('hex');
const blobPath = (bytes: Uint8Array) => `/-/federation/blob/sha512/${sha512Of(bytes)}`;
const tarballPath = (name: string, version: string) => `/${name}/-/${name}-${version}.tgz`;

/** What `mirror` says of a path. */
const at = ({ url }: Pick<TestMirror, 'url'>, path: string) => ask(url, { target: path });
const atDoor = ({ url }: Pick<TestMirror, 'url'>, path: string) =>
  ask(url, { target: path, headers: { host: new URL(DOOR).host, 'user-agent': pnpm['user-agent'] } });

/** Sends a client from the origin's door to the mirror, as if from another network each time. */
const visit = ({ door }: WholeOrigin, name: string, version = '1.0.0') =>
  follow(door + tarballPath(name, version), { headers: pnpm, from: newNetwork() });

/** Has the origin look at a package again, and the mirror follow its log. */
async function look(origin: WholeOrigin, name: string, ...mirrors: TestMirror[]): Promise<void> {
  origin.pass(LATER_MS);
  await origin.ask(`/${name}`);
  const size = Number((await origin.ask('/-/federation/checkpoint')).body.toString().split('\n')[1]);
  for (const mirror of mirrors) await reached(mirror.follower, size);
}

const isGone = (mirror: TestMirror, bytes: Uint8Array) =>
  until('the tarball is withdrawn', async () => (await at(mirror, blobPath(bytes))).status === 451);

/** What lies on the disk of a mirror that has ended. */
async function isStored(data: string, bytes: Uint8Array): Promise<boolean> {
  const store = await openFileBlobStore(join(data, 'blobs'));
  const held = await store.has({ algorithm: 'sha512', hex: sha512Of(bytes) });
  await store.close();
  return held;
}

/** An origin with a package of two versions, and a host that clients were sent to for both. */
async function startWithHost(t: TestContext, config: Partial<MirrorConfig> = {}, deps: Partial<MirrorDeps> = {}) {
  const origin = await startWholeOrigin(t);
  const tarballs = origin.put('alpha', { '1.0.0': {}, '1.1.0': {} }) as Record<'1.0.0' | '1.1.0', Buffer>;
  const host = await startHost(t, origin, config, { withdrawalPauses: PAUSES, ...deps });
  for (const version of ['1.0.0', '1.1.0']) {
    assert.equal((await origin.ask(tarballPath('alpha', version))).status, 200);
    assert.equal((await visit(origin, 'alpha', version)).path.length, 1);
  }
  return { origin, host, tarballs };
}

/** Two packages with the very same tarball. */
async function putTwins(origin: WholeOrigin): Promise<Buffer> {
  const bytes = Buffer.from('the same bytes');
  const dist = { integrity: sriOf(bytes), shasum: createHash('sha1').update(bytes).digest('hex') };
  for (const name of ['original', 'copy']) {
    const tarball = madePackage(name, { '1.0.0': {} }).packument.versions['1.0.0']?.dist.tarball ?? '';
    const made = madePackage(name, { '0.9.0': {}, '1.0.0': { dist: { ...dist, tarball } } });
    origin.upstream.packages.put({ ...made, tarballs: { ...made.tarballs, '1.0.0': bytes } });
    assert.equal((await origin.ask(tarballPath(name, '1.0.0'))).status, 200);
  }
  return bytes;
}

async function startDoor(t: TestContext, origin: WholeOrigin, config: Partial<MirrorConfig> = {}) {
  const deps = { now: origin.now, withdrawalPauses: PAUSES };
  return startTestMirror(t, origin.door, { door: DOOR, freshnessMs: 60_000, ...config }, deps);
}

describe('a host, once a version is withdrawn', () => {
  it('drops its tarball, says why, and keeps the others', async (t) => {
    const { origin, host, tarballs } = await startWithHost(t);
    assert.equal((await at(host, blobPath(tarballs['1.1.0']))).status, 200);
    origin.upstream.packages.withdraw('alpha', '1.1.0');
    await look(origin, 'alpha', host);
    await isGone(host, tarballs['1.1.0']);
    const [here, there] = [await at(host, blobPath(tarballs['1.1.0'])), await origin.ask(blobPath(tarballs['1.1.0']))];
    assert.deepEqual([there.status, here.error], [451, there.error]);
    assert.match(here.error, /^alpha@1\.1\.0 was withdrawn: /);
    assert.equal((await at(host, blobPath(tarballs['1.0.0']))).status, 200);
    await until('all is done', async () => (await at(host, '/-/healthz')).json<Health>().withdrawals.open === 0);
  });

  it('sends a client that comes with a mark back to the door that decides', async (t) => {
    const { origin, host, tarballs } = await startWithHost(t);
    const sent = await origin.ask(tarballPath('alpha', '1.1.0'), { headers: pnpm, from: newNetwork() });
    const marked = String(sent.headers.location);
    origin.upstream.packages.withdraw('alpha', '1.1.0');
    await look(origin, 'alpha', host);
    await isGone(host, tarballs['1.1.0']);
    const [early] = [await follow(marked)];
    assert.deepEqual([early.status, new URL(String(early.path[0])).origin], [451, origin.door]);
    assert.match(early.error, /^alpha@1\.1\.0 was withdrawn: /);
    assert.equal((await at(host, blobPath(tarballs['1.1.0']))).status, 451);
  });

  it('drops all tarballs of a package that is withdrawn whole', async (t) => {
    const { origin, host, tarballs } = await startWithHost(t);
    origin.upstream.packages.withdraw('alpha');
    await look(origin, 'alpha', host);
    for (const bytes of Object.values(tarballs)) await isGone(host, bytes);
  });

  it('holds it again when the upstream shows it again', async (t) => {
    const { origin, host, tarballs } = await startWithHost(t);
    for (const [version, gone] of [
      ['1.1.0', tarballs['1.1.0']],
      [undefined, tarballs['1.0.0']],
    ] as const) {
      origin.upstream.packages.withdraw('alpha', version);
      await look(origin, 'alpha', host);
      await isGone(host, gone);
      origin.upstream.packages.restore('alpha', version);
      await look(origin, 'alpha', host);
      await until('it is no longer withdrawn', async () => (await at(host, blobPath(gone))).status === 404);
    }
  });
});

type Health = { status: string; withdrawals: { open: number; overdue: number } };

describe('a tarball that two packages have', () => {
  it('goes on being served by a host for the one that is not withdrawn', async (t) => {
    const origin = await startWholeOrigin(t);
    const bytes = await putTwins(origin);
    const host = await startHost(t, origin);
    assert.equal((await visit(origin, 'copy')).path.length, 1);
    origin.upstream.packages.withdraw('copy', '1.0.0');
    await look(origin, 'copy', host);
    await isGone(host, bytes);
    for (const [later, status] of [
      [0, 451],
      [LATER_MS, 200],
    ] as const) {
      origin.pass(later);
      await origin.ask('/original');
      const got = await visit(origin, 'original');
      assert.deepEqual([got.status, got.body.equals(bytes), got.path.length], [200, true, 1]);
      await until('it is kept or not', async () => (await at(host, blobPath(bytes))).status === status);
    }
    await host.close();
    assert.equal(await runVerify(host.data, () => undefined), 0, 'what is kept has no tombstone');
  });

  it('is fetched ahead again for the one that is not withdrawn', async (t) => {
    const origin = await startWholeOrigin(t);
    const bytes = await putTwins(origin);
    for (const name of ['original', 'copy']) await origin.ask(`/${name}`);
    const deps = { now: origin.now, withdrawalPauses: PAUSES, replicationPausesMs: [5] };
    const mirror = await startTestMirror(t, origin.door, { replicate: ['*'] }, deps);
    const isHeld = async () => (await at(mirror, blobPath(bytes))).status === 200;
    await until('it is held', isHeld);
    origin.upstream.packages.withdraw('copy', '1.0.0');
    await look(origin, 'copy', mirror);
    await isGone(mirror, bytes);
    origin.upstream.packages.mutate('original', (packument) => {
      packument.description = 'the first one';
    });
    await look(origin, 'original', mirror);
    await until('it is held again', isHeld);
    await mirror.close();
    assert.equal(await isStored(mirror.data, bytes), true, 'and not only on its way');
  });

  it('stays at a door whose people use the other package, also when the origin is away', async (t) => {
    const origin = await startWholeOrigin(t);
    const bytes = await putTwins(origin);
    const mirror = await startDoor(t, origin);
    for (const name of ['original', 'copy']) {
      assert.equal((await atDoor(mirror, `/${name}`)).status, 200);
      assert.equal((await atDoor(mirror, tarballPath(name, '1.0.0'))).status, 200);
    }
    origin.upstream.packages.withdraw('copy', '1.0.0');
    await look(origin, 'copy', mirror);
    await mirror.log.until(({ msg, name, tarballs }) => msg === 'withdrawn' && name === 'copy' && tarballs === 0);
    await origin.close();
    assert.equal((await atDoor(mirror, tarballPath('copy', '1.0.0'))).status, 451);
    const other = await atDoor(mirror, tarballPath('original', '1.0.0'));
    assert.deepEqual([other.status, other.body.equals(bytes)], [200, true]);
  });

  it('comes back to a door that learned of the other package later', async (t) => {
    const origin = await startWholeOrigin(t);
    const bytes = await putTwins(origin);
    const mirror = await startDoor(t, origin);
    assert.equal((await atDoor(mirror, tarballPath('copy', '1.0.0'))).status, 200);
    origin.upstream.packages.withdraw('copy', '1.0.0');
    await look(origin, 'copy', mirror);
    await isGone(mirror, bytes);
    assert.equal((await atDoor(mirror, tarballPath('original', '1.0.0'))).status, 200);
    assert.equal((await at(mirror, blobPath(bytes))).status, 200);
  });
});

describe('a mirror that is killed', () => {
  for (const until of ['tombstones:written', 'tombstones:removed']) {
    it(`at ${until} has dropped the tarball when it is back, though nobody can be asked`, async (t) => {
      const origin = await startWholeOrigin(t);
      const bytes = origin.put('alpha')['1.0.0'] as Buffer;
      assert.equal((await origin.ask('/alpha')).status, 200);
      const data = tempFolder();
      const first = await startMirrorProcess(t, origin.door, data, { door: DOOR });
      assert.equal((await atDoor(first, tarballPath('alpha', '1.0.0'))).status, 200);
      assert.equal((await at(first, blobPath(bytes))).status, 200);
      await first.kill();

      origin.upstream.packages.withdraw('alpha');
      await look(origin, 'alpha');
      const second = spawnMirror(t, origin.door, data, { door: DOOR, until });
      assert.deepEqual(await second.ended, [null, 'SIGKILL']);
      await origin.close();
      const printed: string[] = [];
      assert.equal(await runVerify(data, (line) => printed.push(line)), 0, printed.join('\n'));

      const third = await startMirrorProcess(t, origin.door, data, { door: DOOR });
      const gone = await at(third, blobPath(bytes));
      assert.deepEqual([gone.status, gone.error], [451, 'alpha@1.0.0 was withdrawn: withdrawn by the upstream']);
      assert.equal((await atDoor(third, '/alpha')).status, 451);
      await third.kill();
      assert.equal(await isStored(data, bytes), false);
    });
  }
});

describe('a mirror that can’t learn which bytes are meant', () => {
  it('tries again, and is behind once the deadline has passed', async (t) => {
    const origin = await startWholeOrigin(t);
    const bytes = origin.put('alpha')['1.0.0'] as Buffer;
    for (const path of ['/alpha', tarballPath('alpha', '1.0.0')]) assert.equal((await origin.ask(path)).status, 200);
    const between = await startMeddler(t, origin.door);
    const host = await startHost(t, origin, { origin: between.url }, { withdrawalPauses: PAUSES });
    assert.equal((await visit(origin, 'alpha')).path.length, 1);
    between.fault(({ url }) => url?.includes('/head/') ?? false, 'unavailable');
    origin.upstream.packages.withdraw('alpha');
    await look(origin, 'alpha', host);
    const healthIs = (status: string, open: number, overdue: number) =>
      until(`it is ${status}`, async () => {
        const health = (await at(host, '/-/healthz')).json<Health>();
        return isDeepStrictEqual([health.status, health.withdrawals], [status, { open, overdue }]);
      });
    await host.log.until(({ msg, tries }) => /can’t be carried out yet/.test(msg) && tries === 2);
    await healthIs('ok', 1, 0);
    assert.equal((await at(host, blobPath(bytes))).status, 200);
    origin.pass(3_600_001);
    await healthIs('behind', 1, 1);
    await host.log.until(({ msg, level }) => level === 'error' && /not carried out by its deadline/.test(msg));

    const again = await host
      .close()
      .then(() => startTestMirror(t, between.url, { data: host.data }, { now: origin.now, withdrawalPauses: PAUSES }));
    await until(
      'it knows after a restart',
      async () => (await at(again, '/-/healthz')).json<Health>().withdrawals.overdue === 1,
    );
    between.mend();
    await isGone(again, bytes);
    await until('it is well', async () => (await at(again, '/-/healthz')).json<Health>().status === 'ok');
  });
});

describe('a mirror that reaches only a peer', () => {
  it('learns from it what was withdrawn, and which bytes are meant', async (t) => {
    const origin = await startWholeOrigin(t);
    const bytes = origin.put('alpha')['1.0.0'] as Buffer;
    for (const path of ['/alpha', tarballPath('alpha', '1.0.0')]) assert.equal((await origin.ask(path)).status, 200);
    const host = await startHost(t, origin, {}, { withdrawalPauses: PAUSES });
    const between = await startMeddler(t, origin.door);
    const logTimes = { originMs: 20, peersMs: 20, peersAwayMs: 20 };
    const deps = { withdrawalPauses: PAUSES, logTimes };
    const remote = await startHost(t, origin, { origin: between.url, peers: [host.url] }, deps);
    await until('it was looked at', async () => (await at(remote, blobPath(bytes))).status === 200);
    await between.refuse();
    origin.upstream.packages.withdraw('alpha');
    await look(origin, 'alpha', host, remote);
    await isGone(remote, bytes);
  });
});

describe('withdrawn bytes that a peer goes on having', () => {
  it('are not fetched from it', async (t) => {
    const origin = await startWholeOrigin(t);
    const bytes = origin.put('alpha')['1.0.0'] as Buffer;
    for (const path of ['/alpha', tarballPath('alpha', '1.0.0')]) assert.equal((await origin.ask(path)).status, 200);
    const asked: string[] = [];
    const peer = createServer(({ url = '' }, response) => {
      asked.push(url);
      response.statusCode = url === blobPath(bytes) ? 200 : 404;
      response.end(url === blobPath(bytes) ? bytes : '');
    }).listen(0, '127.0.0.1');
    await once(peer, 'listening');
    t.after(() => peer.close().closeAllConnections());
    const peers = [`http://127.0.0.1:${(peer.address() as AddressInfo).port}`];
    const host = await startHost(t, origin, { peers }, { withdrawalPauses: PAUSES });
    const marked = String((await origin.ask(tarballPath('alpha', '1.0.0'), { headers: pnpm })).headers.location);
    assert.equal((await ask(marked)).status, 200);
    origin.upstream.packages.withdraw('alpha');
    await look(origin, 'alpha', host);
    await isGone(host, bytes);
    const before = asked.filter((url) => url === blobPath(bytes)).length;
    for (const later of [0, 20_000]) {
      origin.pass(later);
      const sent = await ask(marked, { headers: pnpm });
      assert.equal(sent.status, 302);
      assert.equal(new URL(String(sent.headers.location)).origin, origin.door);
    }
    assert.equal(asked.filter((url) => url === blobPath(bytes)).length, before);
  });
});

describe('a version pinned by sha1', () => {
  it('is dropped by a door, by the bytes that it has seen to satisfy the pin, and comes back with it', async (t) => {
    const origin = await startWholeOrigin(t);
    const bytes = origin.put('alpha', { '0.1.0': { dist: { integrity: undefined } as never }, '1.0.0': {} })['0.1.0'];
    assert.ok(bytes);
    const mirror = await startDoor(t, origin);
    assert.equal((await atDoor(mirror, tarballPath('alpha', '0.1.0'))).status, 200);
    assert.equal((await at(mirror, blobPath(bytes))).status, 200);
    origin.upstream.packages.withdraw('alpha', '0.1.0');
    await look(origin, 'alpha', mirror);
    await isGone(mirror, bytes);
    assert.equal((await atDoor(mirror, tarballPath('alpha', '0.1.0'))).status, 451);
    origin.upstream.packages.restore('alpha', '0.1.0');
    await look(origin, 'alpha', mirror);
    assert.equal((await atDoor(mirror, tarballPath('alpha', '0.1.0'))).status, 200);
    assert.equal((await at(mirror, blobPath(bytes))).status, 200);
  });
});

describe('a mirror that fetches ahead', () => {
  it('drops what is withdrawn, does not fetch it again, and does once it is back', async (t) => {
    const origin = await startWholeOrigin(t);
    const tarballs = origin.put('alpha', { '1.0.0': {}, '1.1.0': {} }) as Record<'1.0.0' | '1.1.0', Buffer>;
    await origin.ask('/alpha');
    const mirror = await startTestMirror(
      t,
      origin.door,
      { replicate: ['*'] },
      { now: origin.now, withdrawalPauses: PAUSES, replicationPausesMs: [5] },
    );
    const holds = (bytes: Buffer) =>
      until('it is held', async () => (await at(mirror, blobPath(bytes))).status === 200);
    await holds(tarballs['1.1.0']);
    origin.upstream.packages.withdraw('alpha', '1.1.0');
    await look(origin, 'alpha', mirror);
    await isGone(mirror, tarballs['1.1.0']);
    await holds(tarballs['1.0.0']);
    origin.upstream.packages.restore('alpha', '1.1.0');
    await look(origin, 'alpha', mirror);
    await holds(tarballs['1.1.0']);
  });
});
