import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { callAdmin } from '../../../src/io/admin-socket.ts';
import type { Hosts } from '../../../src/origin/hosts/hosts.ts';
import { ask, follow } from '../../support/ask.ts';
import { startMeddler } from '../../support/meddler.ts';
import { startCommand } from '../../support/processes.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import type { TestMirror } from '../../support/test-mirror.ts';
import { AGENTS, newNetwork, npmFor, pnpm } from '../../support/visitor.ts';
import { startHost, startWholeOrigin, type WholeOrigin, type WholeOriginOptions } from '../../support/whole-origin.ts';

const PATH = '/held/-/held-1.0.0.tgz';
const MINUTE_MS = 60_000;

type Held = WholeOrigin & { readonly tarball: Buffer; readonly blobPath: string };

/** An origin that holds one tarball, so that clients can be sent away for it. Mirrors are looked at only upon a strike. */
async function startHeld(t: TestContext, options: WholeOriginOptions = {}): Promise<Held> {
  return hold(await startWholeOrigin(t, { times: { probeIntervalMs: 60 * MINUTE_MS }, ...options }));
}

async function hold(origin: WholeOrigin): Promise<Held> {
  const tarball = origin.put('held')['1.0.0'] as Buffer;
  await origin.ask(PATH);
  const blobPath = `/-/federation/blob/sha512/${createHash('sha512').update(tarball).digest('hex')}`;
  return { ...origin, tarball, blobPath };
}

/** A mirror that can fetch nothing: it sends every client back. */
async function startHelpless(t: TestContext, origin: WholeOrigin): Promise<TestMirror> {
  const between = await startMeddler(t, `http://127.0.0.1:${origin.port}`);
  between.fault(({ url }) => url?.includes('/blob/') ?? false, 'unavailable');
  return startHost(t, origin, { origin: between.url });
}

/** Whom a pnpm of that network would be sent to, and why not to whom. */
async function route({ ask: asking }: WholeOrigin, from: string) {
  type Page = { by: string; host?: { id: string }; excluded: { id: string; reason: string }[] };
  const page = (await asking(`/-/federation/route${PATH}`, { headers: pnpm, from })).json<Page>();
  return { to: page.host?.id ?? page.by, excluded: page.excluded.map(({ id, reason }) => [id, reason]) };
}

/** Paths of further tarballs that the origin holds. */
async function putMore(origin: WholeOrigin, count: number, name = 'more'): Promise<string[]> {
  const paths = Array.from({ length: count }, (_, number) => `/${name}-${number}/-/${name}-${number}-1.0.0.tgz`);
  for (const [number, path] of paths.entries()) {
    origin.put(`${name}-${number}`);
    await origin.ask(path);
  }
  return paths;
}

describe('a client that asks again', () => {
  it('has that mirror looked at with the very tarball', async (t) => {
    const origin = await startHeld(t);
    const mirror = await startHost(t, origin);
    const strike = t.mock.method(origin.hosts as Hosts, 'strike');
    const from = newNetwork();
    assert.equal((await origin.ask(PATH, { headers: pnpm, from })).status, 302);
    assert.equal((await origin.ask(PATH, { headers: pnpm, from })).status, 200);
    assert.deepEqual(
      strike.mock.calls.map((call) => call.arguments),
      [[mirror.hostId, origin.blobPath.split('/').at(-1)]],
    );
  });

  it('gets the bytes from the origin, and its network is sent to that mirror for others: npm repeats innocently', async (t) => {
    const origin = await startHeld(t);
    const mirror = await startHost(t, origin);
    const from = newNetwork();
    assert.equal((await origin.ask(PATH, { headers: pnpm, from })).status, 302);
    for (let time = 0; time < 5; time++) {
      const again = await origin.ask(PATH, { headers: pnpm, from });
      assert.deepEqual([again.status, again.body], [200, origin.tarball]);
    }
    assert.deepEqual(await route(origin, from), { to: mirror.hostId, excluded: [] });
  });

  it('later, as the next run of npm does, is not sent to that mirror for others: that run is to go well', async (t) => {
    const origin = await startHeld(t);
    const mirror = await startHost(t, origin);
    const from = newNetwork();
    assert.equal((await origin.ask(PATH, { headers: pnpm, from })).status, 302);
    origin.pass(1_000);
    assert.equal((await origin.ask(PATH, { headers: pnpm, from })).status, 200);
    for (const path of await putMore(origin, 2)) {
      assert.equal((await origin.ask(path, { headers: pnpm, from })).status, 200);
    }
    assert.deepEqual((await route(origin, from)).excluded, [[mirror.hostId, 'avoided']]);
  });

  it('for several tarballs is not sent to that mirror for ten minutes, and its neighbours in the network are not', async (t) => {
    const origin = await startHeld(t);
    const mirror = await startHost(t, origin);
    const [from, elsewhere] = [newNetwork(), newNetwork()];
    for (const path of await putMore(origin, 3)) {
      assert.equal((await route(origin, from)).to, mirror.hostId);
      assert.equal((await origin.ask(path, { headers: pnpm, from })).status, 302);
      assert.equal((await origin.ask(path, { headers: pnpm, from })).status, 200);
    }
    assert.deepEqual(await route(origin, from), { to: 'origin', excluded: [[mirror.hostId, 'avoided']] });
    assert.equal((await route(origin, elsewhere)).to, mirror.hostId);
    await origin.log.until(({ host, msg }) => host === mirror.hostId && /tarballs came back/.test(msg));
    assert.equal(await origin.metric('host_doubts_total'), 1);
    const listed = () => origin.hosts.list().map(({ avoidedBy, reason }) => [avoidedBy, reason]);
    assert.deepEqual(listed(), [[1, 'may have failed clients, of 1 network lately']]);
    origin.pass(5 * MINUTE_MS);
    assert.equal((await origin.ask(PATH, { headers: pnpm, from: from.replace(/1$/, '7') })).status, 200);
    origin.pass(5 * MINUTE_MS);
    assert.equal((await origin.ask(PATH, { headers: pnpm, from })).status, 302);
    assert.deepEqual(listed(), [[0, null]]);
  });

  it('is sent to another mirror for other tarballs once several came back from the first', async (t) => {
    const origin = await startHeld(t);
    const mirrors = await Promise.all([startHost(t, origin), startHost(t, origin)]);
    const from = newNetwork();
    const sentTo = async (path: string) => (await origin.ask(path, { headers: pnpm, from })).headers.location;
    const failing = mirrors[0]?.url ?? '';
    let back = 0;
    for (const path of await putMore(origin, 30)) {
      if (!(await sentTo(path))?.startsWith(failing)) continue;
      assert.equal(await sentTo(path), undefined, 'from the origin, not from the other');
      back += 1;
    }
    assert.equal(back, 3);
    for (const path of await putMore(origin, 6, 'next')) {
      assert.equal(new URL((await sentTo(path)) ?? '').origin, mirrors[1]?.url);
    }
  });

  it('is sent to another mirror at once where its network has used up what the origin serves by itself', async (t) => {
    const origin = await startHeld(t, { deps: { repeatLimits: { bytesPerNetwork: 0 } } });
    const mirrors = await Promise.all([startHost(t, origin), startHost(t, origin)]);
    const question = { headers: pnpm, from: newNetwork() };
    const replies = [await origin.ask(PATH, question), await origin.ask(PATH, question)];
    const sentTo = replies.map(({ headers }) => new URL(headers.location ?? '').origin);
    assert.deepEqual(sentTo.sort(), mirrors.map(({ url }) => url).sort());
  });

  it('is one client: another agent, another tarball, or another network is none that repeats, nor is a HEAD', async (t) => {
    const origin = await startHeld(t);
    await startHost(t, origin);
    origin.put('second');
    const second = '/second/-/second-1.0.0.tgz';
    await origin.ask(second);
    const from = newNetwork();
    const statuses = [];
    for (const [path, question] of [
      [PATH, { method: 'HEAD', headers: pnpm, from }],
      [PATH, { headers: pnpm, from }],
      [PATH, { method: 'HEAD', headers: pnpm, from }],
      [PATH, { headers: npmFor(origin.tarball), from }],
      [second, { headers: pnpm, from }],
      [PATH, { headers: pnpm, from: newNetwork() }],
    ] as const) {
      statuses.push((await origin.ask(path, question)).status);
    }
    assert.deepEqual(statuses, [200, 302, 200, 302, 302, 302]);
  });

  it('is no repeat after two minutes', async (t) => {
    const origin = await startHeld(t);
    await startHost(t, origin);
    const question = { headers: pnpm, from: newNetwork() };
    assert.equal((await origin.ask(PATH, question)).status, 302);
    origin.pass(2 * MINUTE_MS);
    assert.equal((await origin.ask(PATH, question)).status, 302);
  });

  it('makes the origin look at that mirror at once', async (t) => {
    const origin = await startHeld(t);
    const mirror = await startHost(t, origin);
    const looked = origin.log.next(({ msg, host }) => msg === 'looked at a host' && host === mirror.hostId);
    const question = { headers: pnpm, from: newNetwork() };
    await origin.ask(PATH, question);
    await origin.ask(PATH, question);
    assert.equal((await looked).kind, 'good');
  });
});

describe('a mirror that can not serve', () => {
  it('sends clients back, who get the right bytes; it is avoided, looked at, and soon out', async (t) => {
    const empty = await startWholeOrigin(t, { times: { probeIntervalMs: 60 * MINUTE_MS } });
    const mirror = await startHelpless(t, empty);
    const origin = await hold(empty);
    const out = origin.log.next(({ msg, host }) => /out of the rotation/.test(msg) && host === mirror.hostId);
    const networks = [newNetwork(), newNetwork()];
    for (const [index, from] of networks.entries()) {
      const looked = origin.log.next(({ msg }) => msg === 'looked at a host');
      const reply = await follow(origin.door + PATH, { headers: pnpm, from });
      assert.deepEqual([reply.status, reply.body], [200, origin.tarball]);
      const [there, back] = reply.path.map((url) => new URL(url));
      assert.deepEqual([there?.origin, back?.origin], [mirror.url, origin.door]);
      assert.equal(back?.pathname, origin.blobPath);
      assert.equal(await origin.metric('host_bounces_total', { host: mirror.hostId }), index + 1);
      assert.ok((await route(origin, from)).excluded.length === 1);
      await looked;
    }
    assert.equal((await out).reason, 'failed twice in a row');
    assert.deepEqual(await route(origin, newNetwork()), { to: 'origin', excluded: [[mirror.hostId, 'unhealthy']] });
  });
});

describe('a read that claims to come back from a mirror', () => {
  /** The mark of a true redirect, and one with a bit of it changed. */
  async function marks(origin: Held): Promise<{ live: string; forged: string }> {
    const { headers } = await origin.ask(PATH, { headers: pnpm, from: newNetwork() });
    const live = new URL(headers.location ?? '').searchParams.get('for') ?? '';
    const bytes = Buffer.from(live, 'base64url');
    bytes[20] = (bytes[20] as number) ^ 1;
    return { live, forged: bytes.toString('base64url') };
  }
  const direct = (origin: Held, mark: string, from: string, method = 'GET') =>
    origin.ask(`${origin.blobPath}?direct=${mark}`, { method, from });

  it('counts against the mirror only with a mark that is live, for this blob, and ours', async (t) => {
    const origin = await startHeld(t);
    const mirror = await startHost(t, origin);
    const { live, forged } = await marks(origin);
    for (const mark of [forged, '', 'nonsense', live.slice(0, -1), `${live}AA`]) {
      const from = newNetwork();
      const reply = await direct(origin, mark, from);
      assert.deepEqual([reply.status, reply.body], [200, origin.tarball]);
      assert.equal((await route(origin, from)).to, mirror.hostId);
    }
    const other = origin.put('other')['1.0.0'] as Buffer;
    await origin.ask('/other/-/other-1.0.0.tgz');
    const hex = createHash('sha512').update(other).digest('hex');
    assert.equal((await origin.ask(`/-/federation/blob/sha512/${hex}?direct=${live}`)).status, 200);
    assert.equal(await origin.metric('host_bounces_total'), 0);
    const from = newNetwork();
    await direct(origin, live, from);
    assert.equal(await origin.metric('host_bounces_total', { host: mirror.hostId }), 1);
    assert.deepEqual((await route(origin, from)).excluded, [[mirror.hostId, 'avoided']]);
    origin.pass(11 * MINUTE_MS);
    assert.equal((await direct(origin, live, newNetwork())).status, 200);
    assert.equal(await origin.metric('host_bounces_total'), 1);
  });

  it('is served within a budget of bytes per network', async (t) => {
    const bytesPerNetwork = 100;
    const origin = await startHeld(t, { deps: { repeatLimits: { bytesPerNetwork } } });
    await startHost(t, origin);
    const { live, forged } = await marks(origin);
    const from = newNetwork();
    const times = Math.floor(bytesPerNetwork / origin.tarball.length);
    assert.ok(times > 0);
    for (let time = 0; time < times; time++) assert.equal((await direct(origin, live, from)).status, 200);
    for (const mark of [live, forged]) {
      const reply = await direct(origin, mark, from);
      assert.equal(reply.status, 429);
      assert.match(reply.error, /try again/);
    }
    assert.equal((await direct(origin, live, newNetwork())).status, 200);
    origin.pass(2 * MINUTE_MS);
    assert.equal((await direct(origin, forged, from)).status, 200);
  });

  it('finds nothing that the index does not know', async (t) => {
    const origin = await startHeld(t);
    await startHost(t, origin);
    const { live } = await marks(origin);
    const reply = await origin.ask(`/-/federation/blob/sha512/${'ab'.repeat(64)}?direct=${live}`);
    assert.equal(reply.status, 404);
    assert.equal((await origin.ask(`/-/federation/blob/sha512/${'AB'.repeat(64)}?direct=${live}`)).status, 400);
  });
});

describe('a mirror that goes', () => {
  it('is out of the rotation at once, and clients that it was sent go on', async (t) => {
    const origin = await startHeld(t);
    const mirror = await startHost(t, origin);
    const from = newNetwork();
    const { headers } = await origin.ask(PATH, { headers: pnpm, from });
    const gone = origin.log.next(({ host, present }) => host === mirror.hostId && present === false);
    await mirror.close();
    await gone;
    assert.deepEqual(await route(origin, newNetwork()), { to: 'origin', excluded: [[mirror.hostId, 'not-present']] });
    await assert.rejects(ask(headers.location ?? ''), { code: 'ECONNREFUSED' });
    for (const agent of [AGENTS.pnpm, AGENTS.npm]) {
      const again = await origin.ask(PATH, { headers: { ...npmFor(origin.tarball), 'user-agent': agent }, from });
      assert.deepEqual([again.status, again.body], [200, origin.tarball]);
    }
  });

  it('is missed at once when its process is killed, and back as soon as it is', async (t) => {
    const origin = await startHeld(t);
    const args = ['mirror', '--origin', origin.door, '--data', tempFolder(), '--port', '0'];
    const running = await startCommand(t, args);
    const healthy = await origin.log.until(({ msg }) => /is healthy/.test(msg));
    assert.equal((await route(origin, newNetwork())).to, healthy.host);
    const gone = origin.log.next(({ present }) => present === false);
    await running.kill();
    assert.equal((await gone).host, healthy.host);
    assert.equal((await origin.ask(PATH, { headers: pnpm, from: newNetwork() })).status, 200);
    const back = origin.log.next(({ msg }) => /is healthy/.test(msg));
    await startCommand(t, args);
    await back;
    const reply = await follow(origin.door + PATH, { headers: pnpm, from: newNetwork() });
    assert.deepEqual([reply.path.length, reply.status, reply.body], [1, 200, origin.tarball]);
  });

  it('is out when an admin suspends it, and in again when one approves it', async (t) => {
    const origin = await startHeld(t);
    const mirror = await startHost(t, origin);
    await callAdmin(origin.data, 'POST', ['hosts', mirror.hostId, 'suspend'], { reason: 'maintenance' });
    assert.deepEqual(await route(origin, newNetwork()), { to: 'origin', excluded: [[mirror.hostId, 'not-approved']] });
    const back = origin.log.next(({ msg }) => /is healthy/.test(msg));
    await callAdmin(origin.data, 'POST', ['hosts', mirror.hostId, 'approve']);
    await back;
    assert.equal((await route(origin, newNetwork())).to, mirror.hostId);
  });
});
