import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sha512Hex } from '../../src/core/hash.ts';
import { makeMark, markKey } from '../../src/core/mark.ts';
import { startHostsOrigin } from '../support/hosts-origin.ts';
import { startMeddler } from '../support/meddler.ts';
import { markedUrl, randomBlob, startMember, startTestMirror } from '../support/test-mirror.ts';

const bytesOf = async (response: Response): Promise<Uint8Array> => new Uint8Array(await response.arrayBuffer());
const follow: RequestInit = { redirect: 'manual' };

describe('a mirror and its origin', () => {
  it('applies, is approved, connects and is found healthy', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin);
    const [view] = origin.hosts.views();
    assert.deepEqual(
      { present: view?.present, healthy: view?.healthy, approved: view?.approved, url: view?.url },
      { present: true, healthy: true, approved: true, url: mirror.url },
    );
  });

  it('stays connected when the list of hosts can’t be renewed', async (t) => {
    const origin = await startHostsOrigin(t);
    const meddler = await startMeddler(t, origin.url);
    const mirror = await startMember(t, { ...origin, url: meddler.url });
    meddler.fault(({ url }) => url === '/-/federation/hosts', 'error');
    const warned = mirror.log.next(({ level }) => level === 'warn');
    await startMember(t, origin);
    assert.equal((await warned).msg, 'the list of hosts was not renewed');
    assert.equal(mirror.state(), 'connected');
  });

  it('joins an origin again that lost its memory, and keeps the newer list of hosts', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin);
    const held = await bytesOf(await fetch(`${mirror.url}/-/federation/hosts`));
    await origin.close();
    const pending = mirror.log.next(({ state }) => state === 'pending');
    const refused = mirror.log.next(({ reason }) => /sent list of hosts 1 after 2/.test(String(reason)));
    const connected = mirror.log.next(({ state }) => state === 'connected');
    const restored = await startHostsOrigin(t, { data: origin.data, port: origin.port });
    await pending;
    await refused;
    await restored.hosts.approve(mirror.hostId);
    await connected;
    assert.deepEqual(await bytesOf(await fetch(`${mirror.url}/-/federation/hosts`)), held);
  });

  it('fetches a blob for a live mark, keeps it, and serves it to anyone from then on', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin);
    const sha512 = origin.addTarball(randomBlob(100_000));
    const first = await fetch(markedUrl(origin, mirror, sha512), follow);
    assert.equal(first.status, 200);
    assert.equal(sha512Hex(await bytesOf(first)), sha512);
    await origin.close();
    const later = await fetch(`${mirror.url}/-/federation/blob/sha512/${sha512}`, follow);
    assert.equal(later.status, 200);
    assert.equal(sha512Hex(await bytesOf(later)), sha512);
  });
});

describe('marks', () => {
  const forms: [string, (m: { key: Uint8Array; hostId: string; sha512: string }) => string][] = [
    ['forged', (m) => makeMark({ ...m, doorId: '00000000', expires: Date.now() + 60_000 }, m.key, new Uint8Array(32))],
    ['expired', (m) => makeMark({ ...m, doorId: '00000000', expires: Date.now() - 600_000 }, m.key, m.key)],
    [
      'for another host',
      (m) =>
        makeMark({ ...m, hostId: 'ffffffffffffffff', doorId: '00000000', expires: Date.now() + 60_000 }, m.key, m.key),
    ],
    [
      'for another blob',
      (m) =>
        makeMark({ ...m, sha512: '0'.repeat(128), doorId: '00000000', expires: Date.now() + 60_000 }, m.key, m.key),
    ],
    ['no mark at all', () => 'nonsense'],
  ];
  for (const [what, make] of forms) {
    it(`fetches nothing for one that is ${what}`, async (t) => {
      const origin = await startHostsOrigin(t);
      const mirror = await startMember(t, origin);
      const sha512 = origin.addTarball(randomBlob(10));
      const { hostId } = mirror;
      const application = await origin.store.get('application', hostId);
      const peer = new Uint8Array(Buffer.from(application?.exchange ?? '', 'base64'));
      const key = markKey(origin.keys.exchange.exchangeSecret(peer), origin.keys.logName);
      const mark = make({ key, hostId, sha512 });
      const answer = await fetch(`${mirror.url}/-/federation/blob/sha512/${sha512}?for=${mark}`, follow);
      assert.equal(answer.status, 404);
      assert.match(((await answer.json()) as { error: string }).error, /does not hold/);
      assert.deepEqual(
        origin.asked.filter((line) => line.includes('/blob/')),
        [],
      );
    });
  }
});

describe('a mirror that can not serve', () => {
  it('sends the client back to its door, named by the signed list, before any byte', async (t) => {
    const origin = await startHostsOrigin(t, { doorUrls: ['https://registry.example'] });
    const mirror = await startMember(t, origin);
    const url = markedUrl(origin, mirror, sha512Hex(randomBlob(5)));
    const answer = await fetch(url, follow);
    assert.equal(answer.status, 302);
    const { pathname, search } = new URL(url);
    const back = `https://registry.example${pathname}${search.replace('?for=', '?direct=')}`;
    assert.equal(answer.headers.get('location'), back);
    assert.equal(answer.headers.get('cache-control'), 'no-store');
  });

  it('does so too while the origin is away, and after a restart without it', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin);
    const [held, missing] = [origin.addTarball(randomBlob(10)), origin.addTarball(randomBlob(11))];
    await (await fetch(markedUrl(origin, mirror, held))).arrayBuffer();
    const mark = new URL(markedUrl(origin, mirror, missing)).search;
    await origin.close();
    const answer = await fetch(`${mirror.url}/-/federation/blob/sha512/${missing}${mark}`, follow);
    assert.equal(answer.status, 302);
    await mirror.close();
    const again = await startTestMirror(t, origin.url, { data: mirror.data });
    assert.equal((await fetch(`${again.url}/-/federation/blob/sha512/${held}`)).status, 200);
    const bounced = await fetch(`${again.url}/-/federation/blob/sha512/${missing}${mark}`, follow);
    assert.equal(bounced.status, 302);
    assert.match(
      bounced.headers.get('location') ?? '',
      new RegExp(`^http://localhost:${origin.port}/-/federation/blob/`),
    );
  });
});

describe('fetching', () => {
  it('asks the origin once for 50 clients, and a client that goes away stops nobody', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin);
    const sha512 = origin.addTarball(randomBlob(300_000));
    const release = origin.holdBlobs();
    const url = markedUrl(origin, mirror, sha512);
    const leaving = new AbortController();
    const left = fetch(url, { signal: leaving.signal }).catch(() => 'left');
    const clients = Array.from({ length: 50 }, () => fetch(url).then(bytesOf));
    leaving.abort();
    assert.equal(await left, 'left');
    release();
    for (const bytes of await Promise.all(clients)) assert.equal(sha512Hex(bytes), sha512);
    assert.equal(origin.asked.filter((line) => line.includes(`/blob/sha512/${sha512}`)).length, 1);
  });

  it('takes a blob from a peer that has it, and from the origin where the peer has none', async (t) => {
    const origin = await startHostsOrigin(t);
    const peer = await startMember(t, origin);
    const mirror = await startMember(t, origin, { peers: [peer.url] });
    const [atPeer, elsewhere] = [origin.addTarball(randomBlob(10)), origin.addTarball(randomBlob(11))];
    await (await fetch(markedUrl(origin, peer, atPeer))).arrayBuffer();
    const before = origin.asked.length;
    assert.equal(sha512Hex(await bytesOf(await fetch(markedUrl(origin, mirror, atPeer)))), atPeer);
    assert.deepEqual(
      origin.asked.slice(before).filter((line) => line.includes(atPeer)),
      [],
    );
    assert.equal(sha512Hex(await bytesOf(await fetch(markedUrl(origin, mirror, elsewhere)))), elsewhere);
    assert.equal(origin.asked.filter((line) => line.includes(elsewhere)).length, 1);
  });

  it('stores nothing wrong: names the peer that sent it, and goes on to the origin', async (t) => {
    const origin = await startHostsOrigin(t);
    const liar = await startHostsOrigin(t);
    const mirror = await startMember(t, origin, { peers: [liar.url] });
    const sha512 = origin.addTarball(randomBlob(50_000));
    liar.tarballs.set(sha512, randomBlob(50_000));
    assert.equal(sha512Hex(await bytesOf(await fetch(markedUrl(origin, mirror, sha512)))), sha512);
    const line = await mirror.log.until(({ msg }) => /wrong bytes/.test(msg));
    assert.equal(line.source, liar.url);
    const metrics = await (await fetch(`${mirror.url}/-/metrics`)).text();
    assert.match(metrics, /mirror_fetches_total{source="peer 1",outcome="wrong-bytes",role="mirror"} 1/);
    assert.match(metrics, /mirror_fetches_total{source="origin",outcome="stored",role="mirror"} 1/);
    assert.ok(!metrics.includes(new URL(liar.url).host), 'the page is public, and the peer may not be');
  });

  it('bounces when every source is wrong, and has stored nothing', async (t) => {
    const origin = await startHostsOrigin(t);
    const mirror = await startMember(t, origin);
    const sha512 = sha512Hex(randomBlob(10));
    origin.tarballs.set(sha512, randomBlob(10));
    assert.equal((await fetch(markedUrl(origin, mirror, sha512), follow)).status, 302);
    assert.equal((await fetch(`${mirror.url}/-/federation/blob/sha512/${sha512}`)).status, 404);
  });
});
