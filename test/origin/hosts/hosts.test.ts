import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ForbiddenError } from '../../../src/core/errors.ts';
import { openHostsList } from '../../../src/core/hosts-list.ts';
import { makeApplicant } from '../../support/applicant.ts';
import { type HostsOrigin, startHostsOrigin } from '../../support/hosts-origin.ts';
import { journalKinds } from '../../support/journal-kinds.ts';
import { startMember, startTestMirror, type TestMirror } from '../../support/test-mirror.ts';

const kinds = ({ store }: HostsOrigin): Promise<string[]> => journalKinds(store);
const listed = ({ hosts, keys }: HostsOrigin): string[] => {
  const note = hosts.publishedList()?.note ?? new Uint8Array();
  return openHostsList(note, keys.hosts.vkey, keys.logName).hosts.map(({ id }) => id);
};
const gone = (origin: HostsOrigin, mirror: TestMirror) =>
  origin.log.next(({ host, present }) => host === mirror.hostId && present === false);

describe('applying', () => {
  it('waits for an admin: nothing is fetched from the host, listed or journaled before', async (t) => {
    const origin = await startHostsOrigin(t);
    const applicant = await makeApplicant(origin);
    const answer = await applicant.apply();
    assert.equal(answer.status, 202);
    assert.deepEqual(await answer.json(), { host: applicant.id, status: 'pending', heartbeatSeconds: 10 });
    assert.deepEqual([listed(origin), await kinds(origin)], [[], []]);
  });

  const urls: [string, string, number][] = [
    ['a path', 'https://mirror.example/x', 400],
    ['a slash at the end', 'https://mirror.example/', 400],
    ['another scheme', 'ftp://mirror.example', 400],
    ['credentials', 'https://user:password@mirror.example', 400],
    ['a default port', 'https://mirror.example:443', 400],
    ['a dot at the end of its name', 'https://registry.example.', 400],
    ['the host name of a door, whatever the port', 'https://registry.example:8443', 403],
    ['a loopback address', 'http://127.0.0.1:1', 403],
    ['a private address', 'http://10.0.0.1', 403],
    ['a private address in other digits', 'http://0x0a000001', 400],
    ['an IPv6 loopback address', 'http://[::1]:1', 403],
    ['the name of the machine itself', 'http://localhost:1', 403],
  ];
  for (const [what, url, status] of urls) {
    it(`refuses a URL with ${what}`, async (t) => {
      const origin = await startHostsOrigin(t, { allowPrivate: false, doorUrls: ['https://registry.example'] });
      assert.equal((await (await makeApplicant(origin)).apply({ url })).status, status);
      assert.deepEqual(origin.hosts.list(), []);
    });
  }

  it('needs the signature of the very key that applies, and takes each nonce once', async (t) => {
    const origin = await startHostsOrigin(t);
    const [one, other] = [await makeApplicant(origin), await makeApplicant(origin)];
    assert.equal((await one.apply({ key: other.keys.identity.vkey })).status, 401);
    assert.equal((await fetch(`${origin.url}/-/federation/hosts/apply`, { method: 'POST', body: '{}' })).status, 400);
    const unsigned = { method: 'POST', body: JSON.stringify(one.application()) };
    assert.equal((await fetch(`${origin.url}/-/federation/hosts/apply`, unsigned)).status, 401);
  });

  it('refuses an exchange key that would make marks forgeable', async (t) => {
    const origin = await startHostsOrigin(t);
    assert.equal((await (await makeApplicant(origin)).apply({ exchange: `${'A'.repeat(43)}=` })).status, 400);
  });

  it('is capped per client network', async (t) => {
    const origin = await startHostsOrigin(t);
    for (let count = 0; count < 20; count++) assert.equal((await (await makeApplicant(origin)).apply()).status, 202);
    assert.equal((await (await makeApplicant(origin)).apply()).status, 429);
  });

  it('expires when it is not repeated for a day', async (t) => {
    let clock = Date.now();
    const origin = await startHostsOrigin(t, { now: () => clock });
    const now = () => clock;
    for (let count = 0; count < 20; count++) await (await makeApplicant(origin, now)).apply();
    clock += 26 * 60 * 60 * 1000;
    assert.equal((await (await makeApplicant(origin, now)).apply()).status, 202);
    assert.equal(origin.hosts.list().length, 1);
  });
});

describe('approving', () => {
  it('journals and lists a host that proves its URL', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin);
    assert.deepEqual([listed(origin), await kinds(origin)], [[mirror.hostId], ['host-admit']]);
  });

  it('refuses one that does not answer, answers as another, or redirects', async (t) => {
    const origin = await startHostsOrigin(t);
    const nobody = await makeApplicant(origin);
    await nobody.apply();
    await assert.rejects(origin.hosts.approve(nobody.id), /refused/);
    const mirror = await startTestMirror(t, origin.url);
    const impostor = await makeApplicant(origin);
    await impostor.apply({ url: mirror.url });
    await assert.rejects(origin.hosts.approve(impostor.id), /another host answers/);
    assert.deepEqual([listed(origin), await kinds(origin)], [[], []]);
  });

  it('holds to the rules of today, not to those of the application', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startTestMirror(t, origin.url);
    await mirror.log.until(({ state }) => state === 'pending');
    const stricter = await startHostsOrigin(t, { store: origin.store, data: origin.data, allowPrivate: false });
    await assert.rejects(stricter.hosts.approve(mirror.hostId), /--allow-private/);
    assert.deepEqual(await kinds(origin), []);
  });

  it('keeps a private host out of log and list', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin, { private: true });
    assert.deepEqual([listed(origin), await kinds(origin)], [[], []]);
    assert.equal(origin.hosts.views().find(({ id }) => id === mirror.hostId)?.healthy, true);
  });

  it('is for one URL: a host that moves has to prove itself and be approved anew', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin);
    await mirror.close();
    const moved = await startTestMirror(t, origin.url, { data: mirror.data });
    await moved.log.until(({ state }) => state === 'pending');
    assert.notEqual(moved.url, mirror.url);
    assert.deepEqual(listed(origin), []);
    await origin.hosts.approve(moved.hostId);
    assert.deepEqual([listed(origin), await kinds(origin)], [[moved.hostId], ['host-admit', 'host-admit']]);
  });

  it('is mended by approving again after a crash between journal and table', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startTestMirror(t, origin.url);
    await mirror.log.until(({ state }) => state === 'pending');
    origin.store.failNext('write', new Error('crash'));
    await assert.rejects(origin.hosts.approve(mirror.hostId), /crash/);
    assert.deepEqual([await kinds(origin), listed(origin)], [['host-admit'], []]);
    await origin.hosts.approve(mirror.hostId);
    assert.deepEqual([await kinds(origin), listed(origin)], [['host-admit'], [mirror.hostId]]);
  });
});

describe('losing a host', () => {
  it('ends presence when the connection of its feed closes', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin);
    const line = gone(origin, mirror);
    await mirror.close();
    await line;
    assert.equal(origin.hosts.views()[0]?.present, false);
  });

  it('ends presence after three missed heartbeats, though the connection stands', async (t) => {
    let clock = 0;
    const origin = await startHostsOrigin(t, { monotonic: () => clock, heartbeatSeconds: 3_000 });
    await startMember(t, origin);
    clock += 3 * 3_000_000;
    assert.equal(origin.hosts.views()[0]?.present, true);
    clock += 1;
    assert.equal(origin.hosts.views()[0]?.present, false);
  });

  it('suspends: out of rotation and list until approved again, also over a restart', async (t) => {
    const origin = await startHostsOrigin(t, { heartbeatSeconds: 3_000 });
    const mirror = await startMember(t, origin);
    const line = gone(origin, mirror);
    await origin.hosts.suspend(mirror.hostId, 'slow\nfor days');
    await line;
    assert.deepEqual(listed(origin), []);
    await mirror.log.until(({ state }) => state === 'suspended');
    const again = await startHostsOrigin(t, { store: origin.store, data: origin.data });
    assert.deepEqual(
      again.hosts.list().map(({ standing, reason }) => [standing, reason]),
      [['suspended', 'slow for days']],
    );
    await origin.hosts.approve(mirror.hostId);
    assert.equal(origin.hosts.views()[0]?.approved, true);
    assert.deepEqual(await kinds(origin), ['host-admit']);
  });

  it('evicts for ever, in the log', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin);
    const refused = mirror.log.next(({ reason }) => /was evicted: wrong bytes/.test(String(reason)));
    await origin.hosts.evict(mirror.hostId, 'wrong bytes');
    await refused;
    assert.deepEqual([listed(origin), await kinds(origin)], [[], ['host-admit', 'host-evict']]);
    await assert.rejects(origin.hosts.approve(mirror.hostId), ForbiddenError);
    const again = await startHostsOrigin(t, { store: origin.store, data: origin.data });
    assert.equal(again.hosts.list()[0]?.standing, 'evicted');
  });

  it('evicts a private host in its own table only', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin, { private: true });
    await origin.hosts.evict(mirror.hostId, 'gone');
    assert.deepEqual(await kinds(origin), []);
    const again = await startHostsOrigin(t, { store: origin.store, data: origin.data });
    assert.deepEqual(
      again.hosts.list().map(({ standing, reason }) => [standing, reason]),
      [['evicted', 'gone']],
    );
  });
});

describe('probing', () => {
  it('takes a host out that can not serve what it should, and back when it can', async (t) => {
    const origin = await startHostsOrigin(t, { probeIntervalMs: 5 });
    const mirror = await startMember(t, origin);
    const sha512 = origin.addTarball(new Uint8Array(1_000));
    await origin.log.until(({ msg, host }) => host === mirror.hostId && /is healthy/.test(msg));
    origin.tarballs.clear();
    origin.tarballs.set('0'.repeat(128), new Uint8Array(10));
    const out = await origin.log.next(({ msg }) => /out of the rotation/.test(msg));
    assert.deepEqual([out.reason, out.saw], ['failed twice in a row', 'status 302']);
    assert.equal(origin.hosts.views()[0]?.healthy, false);
    origin.tarballs.clear();
    origin.tarballs.set(sha512, new Uint8Array(1_000));
    await origin.log.next(({ msg }) => /is healthy/.test(msg));
  });

  it('looks at once at a host that a client came back from', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin);
    origin.tarballs.set('0'.repeat(128), new Uint8Array(10));
    await origin.hosts.strike(mirror.hostId);
    assert.equal(origin.hosts.views()[0]?.healthy, true, 'one failure may be the network’s');
    await origin.hosts.strike(mirror.hostId);
    assert.equal(origin.hosts.views()[0]?.healthy, false);
  });
});
