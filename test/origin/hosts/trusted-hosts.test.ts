import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HASTE_WAIT_MS } from '../../../src/core/repeats.ts';
import type { OriginConfig } from '../../../src/origin/options.ts';
import { follow, type Question } from '../../support/ask.ts';
import { startTestMirror, type TestMirror } from '../../support/test-mirror.ts';
import { until } from '../../support/until.ts';
import { AGENTS, newNetwork, npmFor, pnpm } from '../../support/visitor.ts';
import { startWholeOrigin, type WholeOrigin, type WholeOriginOptions } from '../../support/whole-origin.ts';

type Route = { by: string; excluded: { reason: string }[] };

const PATH = '/held/-/held-1.0.0.tgz';
const STRANGERS: WholeOriginOptions['deps'] = { isOwnHost: () => false };

/** An origin with one host, which somebody else runs, and a tarball that it holds. */
async function startWithStranger(
  t: TestContext,
  config: Partial<OriginConfig> = {},
  deps: WholeOriginOptions['deps'] = {},
): Promise<{ origin: WholeOrigin; stranger: TestMirror; bytes: Buffer }> {
  const origin = await startWholeOrigin(t, { deps: { ...STRANGERS, ...deps }, config });
  const stranger = await startTestMirror(t, origin.door, {}, { now: origin.now });
  await until('it has applied', async () => origin.hosts.list().length === 1);
  await origin.hosts.approve(stranger.hostId);
  await isHealthy(origin, stranger);
  const bytes = origin.put('held')['1.0.0'] as Buffer;
  await origin.ask(PATH);
  return { origin, stranger, bytes };
}

/** The same origin, as it is after its operator has changed settings. */
async function restart(
  t: TestContext,
  before: WholeOrigin,
  host: TestMirror,
  changes: Partial<OriginConfig>,
  deps: WholeOriginOptions['deps'] = {},
): Promise<WholeOrigin> {
  const { data, port, upstream } = before;
  await before.close();
  const after = await startWholeOrigin(t, {
    deps: { ...STRANGERS, ...deps },
    upstream,
    config: { data, port, ...changes },
  });
  await isHealthy(after, host);
  return after;
}

async function isHealthy({ log }: WholeOrigin, { hostId }: TestMirror): Promise<void> {
  await log.until(({ host, msg }) => host === hostId && /is healthy/.test(msg));
}

/** As a client that was never there before. */
const asked = (headers: Question['headers'] = {}) => ({ headers, from: newNetwork() });

async function reasons(origin: WholeOrigin, headers: Question['headers']): Promise<string[]> {
  const page = (await origin.ask(`/-/federation/route${PATH}`, asked(headers))).json<Route>();
  return page.excluded.map(({ reason }) => reason);
}

test('a repeat soon after a host had the first waits, unless its client checks first or the host is trusted', async (t) => {
  const pauses: number[] = [];
  const pause = async (ms: number) => pauses.push(ms);
  const { origin, stranger, bytes } = await startWithStranger(t, {}, { pause });
  const askTwice = async (at: WholeOrigin, headers: Question['headers']) => {
    const asking = asked(headers);
    return [(await at.ask(PATH, asking)).status, (await at.ask(PATH, asking)).status];
  };
  assert.deepEqual(await askTwice(origin, pnpm), [302, 200]);
  assert.deepEqual(pauses, []);
  assert.deepEqual(await askTwice(origin, npmFor(bytes)), [302, 200]);
  assert.deepEqual(pauses, [HASTE_WAIT_MS]);

  const after = await restart(t, origin, stranger, { trustedHosts: [stranger.hostId] }, { pause });
  assert.deepEqual(await askTwice(after, npmFor(bytes)), [302, 200]);
  assert.deepEqual(pauses, [HASTE_WAIT_MS]);
});

test('npm is served by the origin until its operator vouches for a host, while pnpm is sent there', async (t) => {
  const redirectTrusted = ['npm'];
  const { origin, stranger, bytes } = await startWithStranger(t, { redirectTrusted });
  const reply = await origin.ask(PATH, asked(npmFor(bytes)));
  assert.deepEqual([reply.status, reply.body], [200, bytes]);
  assert.equal((await origin.ask(PATH, asked(pnpm))).status, 302);
  assert.deepEqual(await reasons(origin, npmFor(bytes)), ['untrusted']);
  assert.deepEqual(await reasons(origin, pnpm), []);
  assert.equal(origin.hosts.list()[0]?.trusted, false);

  const trustedHosts = ['0000000000000000', stranger.hostId];
  const after = await restart(t, origin, stranger, { redirectTrusted, trustedHosts });
  const sent = await follow(`${after.door}${PATH}`, asked(npmFor(bytes)));
  assert.deepEqual([sent.path.map((url) => new URL(url).origin), sent.body], [[stranger.url], bytes]);
  assert.deepEqual(await reasons(after, npmFor(bytes)), []);
  assert.equal(after.hosts.list()[0]?.trusted, true);
});

test('a token that would follow a second redirect keeps a client from hosts that nobody vouches for', async (t) => {
  const pnpm12 = { 'user-agent': AGENTS['pnpm 12'] };
  const withToken = { ...pnpm12, authorization: 'Bearer some-token' };
  const { origin, stranger } = await startWithStranger(t);
  assert.equal((await origin.ask(PATH, asked(pnpm12))).status, 302);
  assert.equal((await origin.ask(PATH, asked(withToken))).status, 200);
  assert.deepEqual(await reasons(origin, withToken), ['token']);

  const after = await restart(t, origin, stranger, { trustedHosts: [stranger.hostId] });
  assert.equal((await after.ask(PATH, asked(withToken))).status, 302);
});

test('a host that is trusted before it applies waits for its approval like others', async (t) => {
  const before = await startWholeOrigin(t, { deps: STRANGERS });
  const { hostId, data, close } = await startTestMirror(t, before.door, {}, { now: before.now });
  await close();
  await before.close();
  const config = { data: before.data, port: before.port, trustedHosts: [hostId] };
  const origin = await startWholeOrigin(t, { deps: STRANGERS, upstream: before.upstream, config });
  const mirror = await startTestMirror(t, origin.door, { data }, { now: origin.now });
  await mirror.log.until(({ state }) => state === 'pending' || state === 'connected');
  const { standing, trusted } = origin.hosts.list()[0] ?? {};
  assert.deepEqual([mirror.hostId, standing, trusted], [hostId, 'pending', true]);
});
