import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { ask, follow } from '../support/ask.ts';
import { startMeddler } from '../support/meddler.ts';
import { assertSound, incidentsOf, storedFiles } from '../support/stored.ts';
import { startTestMirror } from '../support/test-mirror.ts';
import { until } from '../support/until.ts';
import type { Fault } from '../support/upstream-faults.ts';
import { newNetwork, npmFor, pnpm } from '../support/visitor.ts';
import { startHost, startWholeOrigin } from '../support/whole-origin.ts';

const PATH = '/held/-/held-1.0.0.tgz';
const hexOf = (bytes: Uint8Array) => createHash('sha512').update(bytes).digest('hex');
const blobOf = (bytes: Uint8Array) => `/-/federation/blob/sha512/${hexOf(bytes)}`;
const grown = (body: Buffer) => Buffer.concat([body, Buffer.from('more')]);
const shrunk = (body: Buffer) => body.subarray(0, -1);

describe('wrong bytes from the upstream', () => {
  const faults: [string, Fault][] = [
    ['have one bit wrong', 'corrupt'],
    ['are followed by more', grown],
    ['lack their end', shrunk],
    ['stop before their stated length', 'truncated'],
    ['are a web page', 'html'],
    ['are none at all', () => Buffer.of()],
  ];
  for (const [how, fault] of faults) {
    it(`that ${how} are neither stored nor served, to anyone`, async (t) => {
      const origin = await startWholeOrigin(t);
      const tarball = origin.put('held')['1.0.0'] as Buffer;
      await origin.ask('/held');
      origin.upstream.fault(/\.tgz$/, fault);
      const asking = Array.from({ length: 10 }, () => origin.ask(PATH, { headers: pnpm, from: newNetwork() }));
      for (const path of [blobOf(tarball), `${blobOf(tarball)}?direct=x`]) asking.push(origin.ask(path));
      for (const reply of await Promise.all(asking)) {
        assert.equal(reply.status, 502);
        assert.match(reply.error, /wrong bytes|tarball/);
      }
      assert.equal((await origin.ask(PATH, { method: 'HEAD' })).status, 502);
      assert.deepEqual(await storedFiles(origin.data, /^cache\/tarballs/), []);
      origin.upstream.mend();
      origin.pass(30_000);
      assert.deepEqual((await origin.ask(PATH)).body, tarball);
      assert.notDeepEqual(await storedFiles(origin.data, /^cache\/tarballs/), []);
      await assertSound(origin.data);
    });
  }

  it('are asked for once by many, and told to the admin with the hash that was wanted', async (t) => {
    const origin = await startWholeOrigin(t);
    const tarball = origin.put('held')['1.0.0'] as Buffer;
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    origin.upstream.fault(/\.tgz$/, (body) => released.then(() => grown(body)));
    const asking = Array.from({ length: 20 }, () => origin.ask(PATH, { from: newNetwork() }));
    await until('all wait', async () => (await origin.metric('tarballs_total')) === 20);
    release();
    for (const { error } of await Promise.all(asking)) assert.match(error, new RegExp(`sha512:${hexOf(tarball)}`));
    assert.equal(origin.upstream.count(/\.tgz$/), 1);
    assert.deepEqual(await incidentsOf(origin.data), ['wrong-bytes held@1.0.0']);
    assert.equal(await origin.metric('incidents_total', { kind: 'wrong-bytes' }), 1);
  });

  it('are not fetched anew for each who asks: after a few times they are waited for, longer each time', async (t) => {
    const origin = await startWholeOrigin(t);
    const tarball = origin.put('held')['1.0.0'] as Buffer;
    const other = origin.put('other')['1.0.0'] as Buffer;
    origin.upstream.fault(/held-1\.0\.0\.tgz$/, 'corrupt');
    const ask = () => origin.ask(PATH, { headers: pnpm, from: newNetwork() });
    for (let time = 1; time <= 6; time++)
      assert.match((await ask()).error, /^wrong bytes from the upstream for held@1\.0\.0: /);
    for (const seconds of [30, 60]) {
      const before = origin.upstream.count(/\.tgz$/);
      for (let time = 0; time < 3; time++) {
        const reply = await ask();
        assert.equal(reply.status, 502);
        assert.match(reply.error, /held@1\.0\.0: the upstream keeps sending wrong bytes; it is asked again in \d+ s/);
        const wait = Number(reply.headers['retry-after']);
        assert.ok(wait > seconds - 10 && wait <= seconds, `${wait} s`);
      }
      assert.equal((await origin.ask(`${blobOf(tarball)}`)).status, 502);
      assert.equal(origin.upstream.count(/\.tgz$/), before);
      origin.pass(seconds * 1000);
      assert.match((await ask()).error, /^wrong bytes from/);
    }
    assert.deepEqual((await origin.ask('/other/-/other-1.0.0.tgz')).body, other, 'nothing else waits');
    origin.upstream.mend();
    assert.equal((await ask()).status, 502);
    origin.pass(120_000);
    assert.deepEqual((await ask()).body, tarball);
    assert.deepEqual((await origin.ask(PATH)).body, tarball);
    assert.deepEqual(await incidentsOf(origin.data), ['wrong-bytes held@1.0.0']);
    await assertSound(origin.data);
  });

  it('under a hash that no tarball has are never served, whatever else the packument says', async (t) => {
    const origin = await startWholeOrigin(t);
    origin.put('held', { '1.0.0': { dist: { tarball: `${origin.upstream.url}${PATH}`, shasum: '0'.repeat(40) } } });
    origin.upstream.packages.mutate('held', ({ versions }) => {
      if (versions['1.0.0']) delete versions['1.0.0'].dist.integrity;
    });
    assert.equal((await origin.ask('/held')).status, 200);
    assert.equal((await origin.ask(PATH)).status, 502);
    assert.deepEqual(await storedFiles(origin.data, /^cache\/tarballs/), []);
  });
});

/** An origin that holds one tarball, and two mirrors: what one of them answers goes through somebody who meddles. */
async function startWithLiar(t: TestContext) {
  const origin = await startWholeOrigin(t);
  const tarball = origin.put('held')['1.0.0'] as Buffer;
  await origin.ask(PATH);
  const honest = await startHost(t, origin);
  const between = await startMeddler(t);
  const liar = await startTestMirror(t, origin.door, { publicUrl: between.url });
  between.target = `http://127.0.0.1:${liar.port}`;
  await origin.log.until(({ host, msg }) => host === liar.hostId && /is healthy/.test(msg));
  return { origin, tarball, honest, between, liar };
}

const ofBlobs = ({ url }: { url?: string | undefined }) => url?.includes('/blob/sha512/') ?? false;

describe('wrong bytes from a mirror', () => {
  const lies: [string, Fault, string][] = [
    ['one bit wrong', 'corrupt', 'served wrong bytes'],
    ['more than there is', grown, 'served wrong bytes'],
    ['less than there is', shrunk, 'served wrong bytes'],
    ['a web page', 'html', 'served wrong bytes'],
    ['no end', 'endless', 'served wrong bytes'],
    ['half of a body', 'truncated', 'failed twice in a row'],
    ['an error', 'error', 'failed twice in a row'],
  ];
  for (const [what, fault, reason] of lies) {
    it(`take it out of the rotation at the next look: ${what}`, async (t) => {
      const { origin, tarball, honest, between, liar } = await startWithLiar(t);
      const out = origin.log.next(({ msg }) => /out of the rotation/.test(msg));
      between.fault(ofBlobs, fault);
      const line = await out;
      assert.deepEqual([line.host, line.reason], [liar.hostId, reason]);
      for (let client = 0; client < 5; client++) {
        const reply = await follow(origin.door + PATH, { headers: npmFor(tarball), from: newNetwork() });
        assert.deepEqual([new URL(reply.path[0] ?? '').origin, reply.body], [honest.url, tarball]);
      }
      assert.deepEqual((await origin.ask(PATH)).body, tarball);
      const back = origin.log.next(({ host, msg }) => host === liar.hostId && /is healthy/.test(msg));
      between.mend();
      await back;
      await assertSound(origin.data);
    });
  }

  it('do no harm when they come before the next look: the client asks again, and gets the right ones', async (t) => {
    const origin = await startWholeOrigin(t, { times: { probeIntervalMs: 3_600_000 } });
    const between = await startMeddler(t);
    const liar = await startTestMirror(t, origin.door, { publicUrl: between.url });
    between.target = `http://127.0.0.1:${liar.port}`;
    await origin.log.until(({ msg }) => /is healthy/.test(msg));
    const tarball = origin.put('held')['1.0.0'] as Buffer;
    await origin.ask(PATH);
    between.fault(ofBlobs, 'corrupt');
    const question = { headers: npmFor(tarball), from: newNetwork() };
    const out = origin.log.next(({ msg }) => /out of the rotation/.test(msg));
    const first = await follow(origin.door + PATH, question);
    assert.notEqual(hexOf(first.body), hexOf(tarball));
    assert.deepEqual((await follow(origin.door + PATH, question)).body, tarball);
    assert.equal((await out).host, liar.hostId);
  });
});

describe('wrong bytes on the way to a mirror', () => {
  it('from a peer are not stored: the next source is asked, and the peer named', async (t) => {
    const { origin, tarball, between } = await startWithLiar(t);
    between.fault(ofBlobs, 'corrupt');
    await origin.log.until(({ msg }) => /out of the rotation/.test(msg));
    const mirror = await startHost(t, origin, { peers: [between.url] });
    const line = await mirror.log.until(({ msg }) => /wrong bytes from a source/.test(msg));
    assert.equal(line.source, between.url);
    const kept = await ask(`${mirror.url}${blobOf(tarball)}`);
    assert.deepEqual([kept.status, kept.body], [200, tarball]);
    assert.deepEqual(await storedFiles(mirror.data, /^blobs\/(?:tmp|quarantine)/), []);
  });

  it('from whoever stands before the origin are not stored: clients are sent back, and get the right ones', async (t) => {
    const origin = await startWholeOrigin(t, { times: { probeIntervalMs: 3_600_000 } });
    const between = await startMeddler(t, `http://127.0.0.1:${origin.port}`);
    const mirror = await startHost(t, origin, { origin: between.url });
    const tarball = origin.put('held')['1.0.0'] as Buffer;
    await origin.ask(PATH);
    between.fault(ofBlobs, 'corrupt');
    const reply = await follow(origin.door + PATH, { headers: pnpm, from: newNetwork() });
    assert.deepEqual(
      reply.path.map((url) => new URL(url).origin),
      [mirror.url, origin.door],
    );
    assert.deepEqual(reply.body, tarball);
    assert.ok(between.meddled > 0);
    assert.equal((await ask(`${mirror.url}${blobOf(tarball)}`)).status, 404);
  });
});
