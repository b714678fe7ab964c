import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { verifyIndex } from '../../../src/core/verify-index.ts';
import { storedBlob } from '../../../src/io/stored-blob.ts';
import { journalKinds } from '../../support/journal-kinds.ts';
import { madePackage } from '../../support/made-package.ts';
import { FRESHNESS_MS, type OriginCore, startOriginCore } from '../../support/origin-core.ts';

const NETWORK = '192.0.2.0/24';
const REASON = 'the author confirmed it';

/** Lets the upstream show another tarball for `alpha@1.0.0`, and has the origin look. */
async function changeBytes(origin: OriginCore): Promise<string> {
  const integrity = `sha512-${Buffer.alloc(64, 7).toString('base64')}`;
  origin.server.packages.mutate('alpha', ({ versions }) => {
    const dist = versions['1.0.0']?.dist;
    if (dist) Object.assign(dist, { integrity, shasum: '7'.repeat(40) });
  });
  origin.pass(FRESHNESS_MS);
  return integrity;
}

async function lastEntries({ metadata }: OriginCore, n: number): Promise<string[]> {
  return (await journalKinds(metadata)).slice(-n);
}

/** What `verify` finds wrong in the origin's index. */
async function problems({ metadata, blobs }: OriginCore): Promise<unknown[]> {
  const reader = {
    size: () => metadata.size(),
    folded: () => metadata.folded(),
    entries: metadata.entries.bind(metadata),
    get: metadata.get.bind(metadata),
    scan: metadata.scan.bind(metadata),
    blob: (sha256: string) => storedBlob(blobs, sha256, 'the index'),
  };
  return (await verifyIndex(reader)).flatMap((check) => check.problems);
}

async function withChangedPin(t: TestContext): Promise<{ origin: OriginCore; integrity: string }> {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  await origin.packument('alpha');
  const integrity = await changeBytes(origin);
  await origin.packument('alpha');
  return { origin, integrity };
}

test('a refused change is taken by an order: journal, index, name and incident follow', async (t) => {
  const { origin, integrity } = await withChangedPin(t);
  const before = (await origin.learner.version('alpha', '1.0.0', NETWORK)).row.pinned;
  const repinned = await origin.packages.repin('alpha', '1.0.0', REASON);
  assert.deepEqual(repinned, { before, after: `sha512:${'07'.repeat(64)}` });
  assert.deepEqual(await lastEntries(origin, 2), ['repin', 'learned']);
  const { versions } = await origin.packument('alpha');
  assert.deepEqual(Object.keys(versions), ['1.0.0', '1.1.0']);
  assert.equal(versions['1.0.0']?.dist.integrity, integrity);
  assert.equal((await origin.learner.version('alpha', '1.0.0', NETWORK)).row.pinned, repinned.after);
  assert.equal(await origin.metadata.get('pinned', before), null);
  assert.deepEqual(await origin.incidents(), []);
  assert.deepEqual(await problems(origin), []);
});

test('the new pin stands like any other: the old values are refused when the upstream shows them again', async (t) => {
  const { origin, integrity } = await withChangedPin(t);
  await origin.packages.repin('alpha', '1.0.0', REASON);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  origin.server.packages.mutate('alpha', ({ versions }) => {
    if (versions['1.0.0']) versions['1.0.0'].dist.integrity = `sha512-${Buffer.alloc(64, 8).toString('base64')}`;
  });
  origin.pass(FRESHNESS_MS);
  assert.equal((await origin.packument('alpha')).versions['1.0.0']?.dist.integrity, integrity);
  assert.deepEqual(
    (await origin.incidents()).map(({ kind }) => kind),
    ['pin-changed'],
  );
});

test('a publish time is pinned anew, too', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  origin.server.packages.mutate('alpha', ({ time }) => {
    time['1.0.0'] = '2026-01-01T00:00:00.000Z';
  });
  await origin.packages.repin('alpha', '1.0.0', REASON);
  assert.equal((await origin.packument('alpha')).time['1.0.0'], '2026-01-01T00:00:00.000Z');
  assert.deepEqual(await problems(origin), []);
});

test('a dispute blocks both values until an order decides', async (t) => {
  const origin = await startOriginCore(t, { signed: true });
  const signer = origin.server.packages.signer;
  origin.server.packages.sign(undefined);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  origin.server.packages.sign(signer);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': { bin: 'other.js' } }));
  origin.pass(FRESHNESS_MS);
  await assert.rejects(origin.packument('alpha'), { status: 451, reason: /only those are signed/ });
  await origin.packages.repin('alpha', '1.0.0', REASON);
  assert.equal((await origin.packument('alpha')).versions['1.0.0']?.bin, 'other.js');
  assert.deepEqual(await problems(origin), []);
});

test('an order is not carried out where the upstream signs and this is not signed', async (t) => {
  const origin = await startOriginCore(t, { signed: true });
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  const before = await origin.packument('alpha');
  await changeBytes(origin);
  await assert.rejects(origin.packages.repin('alpha', '1.0.0', REASON), { status: 409, message: /bad-signature/ });
  origin.server.packages.mutate('alpha', ({ versions }) => {
    if (versions['1.0.0']) versions['1.0.0'].dist = { tarball: versions['1.0.0'].dist.tarball };
  });
  await assert.rejects(origin.packages.repin('alpha', '1.0.0', REASON), { status: 409, message: /no-hash/ });
  assert.deepEqual(await lastEntries(origin, 1), ['learned']);
  assert.deepEqual((await origin.packument('alpha')).versions, before.versions);
});

test('an order without an object says so', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  await origin.packument('alpha');
  const repin = (name: string, version: string) => origin.packages.repin(name, version, REASON);
  await assert.rejects(repin('alpha', '1.0.0'), { status: 409, message: /is pinned as the upstream shows it/ });
  await assert.rejects(repin('alpha', '9.9.9'), { status: 404, message: /never pinned here/ });
  await assert.rejects(repin('beta', '1.0.0'), { status: 404, message: /never pinned here/ });
  origin.server.packages.withdraw('alpha', '1.1.0');
  await assert.rejects(repin('alpha', '1.1.0'), { status: 404, message: /the upstream shows no alpha@1\.1\.0/ });
  await origin.server.down();
  await assert.rejects(repin('alpha', '1.0.0'), { status: 502 });
  assert.deepEqual(await lastEntries(origin, 1), ['learned']);
});

test('clients that ask while an order is carried out are not told of its failure', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  origin.pass(FRESHNESS_MS);
  const [order, client] = await Promise.allSettled([
    origin.packages.repin('alpha', '1.0.0', REASON),
    origin.packument('alpha'),
  ]);
  assert.deepEqual([order.status, client.status], ['rejected', 'fulfilled']);
});

test('a package is shown with its versions, pins, tags, incidents and when its upstream was asked', async (t) => {
  const { origin } = await withChangedPin(t);
  origin.server.packages.withdraw('alpha', '1.1.0');
  origin.server.packages.mutate('alpha', ({ 'dist-tags': tags }) => {
    tags.latest = '1.0.0';
  });
  origin.pass(FRESHNESS_MS);
  await origin.packument('alpha');
  const { head, versions, tags, asked, incidents, ...state } = await origin.packages.show('alpha');
  assert.deepEqual(state, { name: 'alpha', seq: 2, withdrawn: null });
  assert.match(head ?? '', /^[0-9a-f]{64}$/);
  assert.deepEqual(
    versions.map(({ version, state, reason }) => [version, state, reason]),
    [
      ['1.0.0', 'listed', null],
      ['1.1.0', 'withdrawn', 'withdrawn by the upstream'],
    ],
  );
  assert.deepEqual([tags, asked?.absent], [{ latest: '1.0.0' }, false]);
  assert.deepEqual(incidents.map(({ kind }) => kind).sort(), ['pin-changed', 'withdrawn']);
  await assert.rejects(origin.packages.show('beta'), { status: 404 });
});
