import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { parseEntry } from '../../../src/core/entry.ts';
import { madePackage } from '../../support/made-package.ts';
import { FRESHNESS_MS, type OriginCore, startOriginCore } from '../../support/origin-core.ts';

const NETWORK = '192.0.2.0/24';
const NAMES = Array.from({ length: 25 }, (_, i) => `package-${i}`);

async function withdrawn({ metadata }: OriginCore): Promise<number> {
  return (await metadata.entries(0, 1_000)).filter((bytes) => parseEntry(bytes).kind === 'withdraw').length;
}

/** Looks at a package, and says what a client gets: its state, stale or not. */
async function look(origin: OriginCore, name: string): Promise<string> {
  const learned = await origin.learner.packument(name, NETWORK).catch((error) => error);
  if (learned instanceof Error) return (learned as Error & { code: string }).code;
  return learned.stale ? 'stale' : 'fresh';
}

/** An origin that knows twenty-five packages, all of which its upstream then loses. */
async function emptied(t: TestContext): Promise<OriginCore> {
  const origin = await startOriginCore(t);
  for (const name of NAMES) origin.server.packages.put(madePackage(name, { '1.0.0': {}, '1.1.0': {} }));
  for (const name of NAMES) await origin.packument(name);
  for (const name of NAMES) origin.server.packages.withdraw(name);
  origin.pass(FRESHNESS_MS * 3);
  return origin;
}

async function lookAtAll(origin: OriginCore): Promise<string[]> {
  const seen: string[] = [];
  for (const name of NAMES) seen.push(await look(origin, name));
  return seen;
}

const HALTED = [...Array(10).fill('withdrawn'), ...Array(15).fill('stale')];

test('when too many packages disappear at once, withdrawing halts and what is known is served on as stale', async (t) => {
  const origin = await emptied(t);
  assert.deepEqual(await lookAtAll(origin), HALTED);
  assert.equal(await withdrawn(origin), 10);
  const alarm = (await origin.incidents()).find(({ kind }) => kind === 'mass-disappearance');
  assert.match(alarm?.detail ?? '', /^11 of the 11 packages .* until an admin decides$/);
  assert.equal((await origin.learner.version('package-24', '1.0.0', NETWORK)).row.state, 'listed');
});

test('a halt lasts until an admin ends it, over restarts and however long it takes', async (t) => {
  const origin = await emptied(t);
  await lookAtAll(origin);
  const again = await startOriginCore(t, { server: origin.server, metadata: origin.metadata, blobs: origin.blobs });
  again.pass(24 * 60 * 60_000);
  assert.match(again.packages.withdrawals()?.reason ?? '', /^11 of the 11 packages/);
  assert.deepEqual(await lookAtAll(again), HALTED);
  assert.equal(await again.packages.resumeWithdrawals(), true);
  again.pass(FRESHNESS_MS);
  assert.deepEqual(new Set(await lookAtAll(again)), new Set(['withdrawn']));
  assert.equal(await withdrawn(again), 25);
  assert.deepEqual([again.packages.withdrawals(), await again.packages.resumeWithdrawals()], [null, false]);
  assert.equal(
    (await again.incidents()).some(({ kind }) => kind === 'mass-disappearance'),
    false,
  );
});

test('while it halts, packages of which nothing is gone go on as usual, and new ones are learned', async (t) => {
  const origin = await emptied(t);
  await lookAtAll(origin);
  origin.server.packages.restore('package-24');
  origin.server.packages.put(madePackage('package-24', { '1.0.0': {}, '1.1.0': {}, '1.2.0': {} }));
  origin.server.packages.put(madePackage('fresh', { '1.0.0': {} }));
  origin.pass(FRESHNESS_MS);
  assert.deepEqual(Object.keys((await origin.packument('package-24')).versions), ['1.0.0', '1.1.0', '1.2.0']);
  assert.equal(await look(origin, 'fresh'), 'fresh');
});

test('versions of one package that disappear in a mass halt as well', async (t) => {
  const origin = await startOriginCore(t);
  const versions = Array.from({ length: 60 }, (_, i) => `1.${i}.0`);
  origin.server.packages.put(madePackage('large', Object.fromEntries(versions.map((version) => [version, {}]))));
  await origin.packument('large');
  for (const version of versions.slice(9)) origin.server.packages.withdraw('large', version);
  origin.pass(FRESHNESS_MS);
  assert.equal(await look(origin, 'large'), 'stale');
  assert.equal(Object.keys((await origin.packument('large')).versions).length, 60);
  assert.equal(await withdrawn(origin), 0);
  assert.deepEqual(
    (await origin.incidents()).map(({ kind }) => kind),
    ['mass-disappearance'],
  );
});

test('a busy upstream that mostly stays as it is may lose many packages', async (t) => {
  const origin = await emptied(t);
  const there = Array.from({ length: 25 }, (_, i) => `other-${i}`);
  for (const name of there) {
    origin.server.packages.put(madePackage(name, { '1.0.0': {} }));
    await origin.packument(name);
  }
  origin.pass(FRESHNESS_MS);
  for (const name of there) await origin.packument(name);
  assert.deepEqual(new Set(await lookAtAll(origin)), new Set(['withdrawn']));
});
