import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { parseEntry } from '../../../src/core/entry.ts';
import { madePackage } from '../../support/made-package.ts';
import { FRESHNESS_MS, type OriginCore, startOriginCore } from '../../support/origin-core.ts';
import { createSigner, type Signer } from '../../support/upstream-signing.ts';

const HOUR = 60 * 60_000;

async function keyEntries({ metadata }: OriginCore): Promise<string[][]> {
  const entries = (await metadata.entries(0, 1_000)).map(parseEntry);
  return entries.flatMap((entry) => (entry.kind === 'upstream-key' ? [[entry.keyid, entry.by]] : []));
}

async function versionsOf(origin: OriginCore, name: string): Promise<string[]> {
  return Object.keys((await origin.packument(name)).versions);
}

/** An origin that knows `alpha@1.0.0`, whose upstream then takes a new key into use and signs all that follows by it. */
async function withNewKey(t: TestContext): Promise<{ origin: OriginCore; first: Signer; second: Signer }> {
  const origin = await startOriginCore(t, { signed: true });
  const first = origin.server.packages.signer as Signer;
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  const second = createSigner();
  origin.server.keys.push(second.key);
  origin.server.packages.sign(second);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  origin.pass(HOUR);
  return { origin, first, second };
}

test('what a new key signed waits until an admin accepts it, and is there at the very next look', async (t) => {
  const { origin, first, second } = await withNewKey(t);
  origin.server.packages.put(madePackage('beta', { '1.0.0': {} }));
  assert.deepEqual(await versionsOf(origin, 'alpha'), ['1.0.0']);
  await assert.rejects(origin.packument('beta'), { status: 404 });
  await assert.rejects(origin.learner.version('beta', '1.0.0', '192.0.2.0/24'), { status: 404 });
  assert.deepEqual((await origin.incidents()).map(({ kind, subject }) => `${kind} ${subject}`).sort(), [
    `new-upstream-key ${second.key.keyid}`,
    'unknown-key alpha@1.1.0',
    'unknown-key beta@1.0.0',
  ]);
  assert.deepEqual((await origin.packages.acceptKey(second.key.keyid)).sort(), ['alpha', 'beta']);
  assert.deepEqual(await versionsOf(origin, 'alpha'), ['1.0.0', '1.1.0']);
  assert.equal((await origin.learner.version('beta', '1.0.0', '192.0.2.0/24')).row.state, 'learned');
  assert.deepEqual(await versionsOf(origin, 'beta'), ['1.0.0']);
  assert.deepEqual(await origin.incidents(), []);
  assert.deepEqual(await keyEntries(origin), [
    [first.key.keyid, 'first-sight'],
    [second.key.keyid, 'admin'],
  ]);
});

test('keys are listed with who accepted them; one that waits is found without anybody asking for a package', async (t) => {
  const { origin, first, second } = await withNewKey(t);
  const listed = async () => (await origin.packages.keys()).map(({ keyid, by }) => [keyid, by]);
  assert.deepEqual(await listed(), [
    [first.key.keyid, 'first-sight'],
    [second.key.keyid, null],
  ]);
  await origin.packages.acceptKey(second.key.keyid);
  await origin.packages.acceptKey(second.key.keyid);
  assert.deepEqual(Object.fromEntries(await listed()), {
    [first.key.keyid]: 'first-sight',
    [second.key.keyid]: 'admin',
  });
  assert.equal((await keyEntries(origin)).length, 2);
});

test('only a key that the upstream shows can be accepted', async (t) => {
  const { origin, second } = await withNewKey(t);
  await assert.rejects(origin.packages.acceptKey('SHA256:nothing'), { status: 404, message: /shows no key/ });
  await origin.server.down();
  await assert.rejects(origin.packages.acceptKey(second.key.keyid), { status: 502 });
  assert.equal((await keyEntries(origin)).length, 1);
});

test('an expired key stays good for versions from before its end, and for no others', async (t) => {
  const origin = await startOriginCore(t, { signed: true });
  // Packages of the tests' making have a version a day, from 2020-01-01 on.
  const key = origin.server.keys[0];
  if (key) key.expires = '2020-01-02T12:00:00.000Z';
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {}, '1.2.0': {} }));
  assert.deepEqual(await versionsOf(origin, 'alpha'), ['1.0.0', '1.1.0']);
  assert.deepEqual(
    (await origin.incidents()).map(({ kind, subject }) => `${kind} ${subject}`),
    ['expired-key alpha@1.2.0'],
  );
});

test('an end that the upstream gives a key later counts once it is accepted; what was pinned stays', async (t) => {
  const origin = await startOriginCore(t, { signed: true });
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  await origin.packument('alpha');
  const key = origin.server.keys[0] as Signer['key'];
  key.expires = '2020-01-01T12:00:00.000Z';
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {}, '1.2.0': {} }));
  origin.pass(HOUR);
  assert.deepEqual(await versionsOf(origin, 'alpha'), ['1.0.0', '1.1.0', '1.2.0']);
  assert.match((await origin.incidents())[0]?.detail ?? '', /another value or expiry/);
  await origin.packages.acceptKey(key.keyid);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {}, '1.2.0': {}, '1.3.0': {} }));
  origin.pass(FRESHNESS_MS);
  assert.deepEqual(await versionsOf(origin, 'alpha'), ['1.0.0', '1.1.0', '1.2.0']);
});
