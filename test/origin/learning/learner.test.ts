import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { journalKinds } from '../../support/journal-kinds.ts';
import { madePackage } from '../../support/made-package.ts';
import { FRESHNESS_MS, type OriginCore, startOriginCore } from '../../support/origin-core.ts';

const NETWORK = '192.0.2.0/24';

/** Kinds of all journal entries about packages, in order. */
async function kinds(origin: OriginCore): Promise<string[]> {
  return (await allKinds(origin)).filter((kind) => kind !== 'upstream-key');
}

function allKinds({ metadata }: OriginCore): Promise<string[]> {
  return journalKinds(metadata);
}

async function incidentKinds(origin: OriginCore): Promise<string[]> {
  return (await origin.incidents()).map(({ kind, subject }) => `${kind} ${subject}`).sort();
}

test('a package is learned when asked for, and only once inside the freshness bound', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': { deprecated: 'use beta' } }));
  const packument = await origin.packument('alpha');
  assert.deepEqual(Object.keys(packument.versions), ['1.0.0', '1.1.0']);
  assert.equal(packument.versions['1.1.0']?.deprecated, 'use beta');
  assert.equal(packument.versions['1.0.0']?.dist.tarball, 'http://door.example/alpha/-/alpha-1.0.0.tgz');
  assert.equal(packument.time['1.1.0'], '2020-01-02T00:00:00.000Z');
  origin.pass(FRESHNESS_MS - 1);
  await origin.packument('alpha');
  assert.equal(origin.server.count(/^\/alpha$/), 1);
  assert.deepEqual(await kinds(origin), ['learned']);
});

test('many clients at once cause one request', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await Promise.all(Array.from({ length: 30 }, () => origin.packument('alpha')));
  assert.equal(origin.server.count(/^\/alpha$/), 1);
});

test('a package that is due is asked for conditionally, and nothing is journaled if nothing changed', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  origin.pass(FRESHNESS_MS);
  await origin.packument('alpha');
  const requests = origin.server.requests.filter(({ path }) => path === '/alpha');
  assert.deepEqual(
    requests.map(({ headers }) => 'if-none-match' in headers),
    [false, true],
  );
  assert.deepEqual(await kinds(origin), ['learned']);
});

test('a new version follows within the bound, and the known ones keep their bytes', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '2.0.0': {} }));
  origin.pass(FRESHNESS_MS);
  const packument = await origin.packument('alpha');
  assert.deepEqual([Object.keys(packument.versions), packument['dist-tags'].latest], [['1.0.0', '2.0.0'], '2.0.0']);
  assert.deepEqual(await kinds(origin), ['learned', 'learned']);
});

test('a name that the upstream has not is absent, dated, and not journaled', async (t) => {
  const origin = await startOriginCore(t);
  await assert.rejects(origin.packument('nothing-here'), { code: 'not-found' });
  await assert.rejects(origin.packument('nothing-here'), { code: 'not-found' });
  assert.equal(origin.server.count(/^\/nothing-here$/), 1);
  origin.server.packages.put(madePackage('nothing-here', { '1.0.0': {} }));
  origin.pass(FRESHNESS_MS);
  assert.deepEqual(Object.keys((await origin.packument('nothing-here')).versions), ['1.0.0']);
  assert.deepEqual(await kinds(origin), ['learned']);
});

test('a name that is never to be asked for is answered without asking', async (t) => {
  const origin = await startOriginCore(t, { neverAsk: ['@private/*', 'secret'] });
  for (const name of ['@private/a', 'secret']) await assert.rejects(origin.packument(name), { code: 'not-found' });
  assert.equal(origin.server.requests.length, 0);
});

for (const fault of ['error', 'unavailable', 'truncated', 'html', 'endless'] as const) {
  test(`an upstream that answers with ${fault} is not taken for one that has nothing`, async (t) => {
    const origin = await startOriginCore(t);
    origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
    origin.server.fault(/^\/alpha$/, fault);
    await assert.rejects(origin.packument('alpha'), { status: 502 });
    origin.server.mend();
    assert.deepEqual(Object.keys((await origin.packument('alpha')).versions), ['1.0.0']);
  });
}

test('what is known is served while the upstream is away, marked stale', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  await origin.server.down();
  origin.pass(FRESHNESS_MS);
  const learned = await origin.learner.packument('alpha', NETWORK);
  assert.equal(learned.stale, true);
  assert.deepEqual(learned.view.rows.versions(), ['1.0.0']);
  await origin.server.up();
  origin.pass(FRESHNESS_MS);
  assert.equal((await origin.learner.packument('alpha', NETWORK)).stale, false);
});

test('a tarball does not wait long for a package that is due', async (t) => {
  const origin = await startOriginCore(t, { tarballPatienceMs: 20 });
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  origin.server.fault(/^\/alpha$/, 'silent');
  origin.pass(FRESHNESS_MS);
  const { row, stale } = await origin.learner.version('alpha', '1.0.0', NETWORK);
  assert.deepEqual([row.state, stale], ['listed', true]);
});

test('a version that disappears is withdrawn, and comes back only as it was', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  await origin.packument('alpha');
  origin.server.packages.withdraw('alpha', '1.1.0');
  origin.pass(FRESHNESS_MS);
  assert.deepEqual(Object.keys((await origin.packument('alpha')).versions), ['1.0.0']);
  await assert.rejects(origin.learner.version('alpha', '1.1.0', NETWORK), { status: 451 });
  assert.deepEqual(await kinds(origin), ['learned', 'withdraw', 'learned']);
  assert.deepEqual(await incidentKinds(origin), ['withdrawn alpha@1.1.0']);
  origin.server.packages.restore('alpha', '1.1.0');
  origin.pass(FRESHNESS_MS);
  assert.deepEqual(Object.keys((await origin.packument('alpha')).versions), ['1.0.0', '1.1.0']);
});

test('a version that was learned alone is withdrawn when its upstream has it no more', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  assert.equal((await origin.learner.version('alpha', '1.1.0', NETWORK)).row.state, 'learned');
  origin.server.packages.withdraw('alpha', '1.1.0');
  origin.pass(FRESHNESS_MS);
  await assert.rejects(origin.learner.version('alpha', '1.1.0', NETWORK), { status: 451 });
  assert.deepEqual(await kinds(origin), ['learned-version', 'learned', 'withdraw']);
});

test('a version that was learned alone stays while the packument merely lags behind', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  const old = madePackage('alpha', { '1.0.0': {} }).packument;
  origin.server.fault(/^\/alpha$/, () => gzipSync(JSON.stringify(old)));
  await origin.learner.version('alpha', '1.1.0', NETWORK);
  origin.pass(FRESHNESS_MS);
  assert.deepEqual(Object.keys((await origin.packument('alpha')).versions), ['1.0.0']);
  assert.equal((await origin.learner.version('alpha', '1.1.0', NETWORK)).row.state, 'learned');
  origin.server.mend();
  origin.server.packages.put(madePackage('alpha', { '1.0.0': { deprecated: 'use 1.1.0' }, '1.1.0': {} }));
  origin.pass(FRESHNESS_MS);
  assert.deepEqual(Object.keys((await origin.packument('alpha')).versions), ['1.0.0', '1.1.0']);
});

test('a package that disappears is withdrawn after a second look', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  origin.server.packages.withdraw('alpha');
  origin.pass(FRESHNESS_MS);
  await assert.rejects(origin.packument('alpha'), { status: 451 });
  await assert.rejects(origin.learner.version('alpha', '1.0.0', NETWORK), { status: 451 });
  assert.deepEqual(await kinds(origin), ['learned', 'withdraw']);
});

test('pinned bytes that change upstream are refused, counted, and ours stay', async (t) => {
  const origin = await startOriginCore(t);
  const made = madePackage('alpha', { '1.0.0': {} });
  origin.server.packages.put(made);
  const before = await origin.packument('alpha');
  origin.server.packages.mutate('alpha', ({ versions }) => {
    const dist = versions['1.0.0']?.dist;
    if (dist) dist.integrity = `sha512-${Buffer.alloc(64, 7).toString('base64')}`;
  });
  origin.pass(FRESHNESS_MS);
  assert.deepEqual((await origin.packument('alpha')).versions, before.versions);
  assert.deepEqual(await incidentKinds(origin), ['pin-changed alpha@1.0.0']);
});

test('an install script that appears later is refused; a deprecation is followed', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  await origin.packument('alpha');
  origin.server.packages.mutate('alpha', ({ versions }) => {
    if (versions['1.0.0']) versions['1.0.0'].scripts = { postinstall: 'curl evil' };
    if (versions['1.1.0']) versions['1.1.0'].deprecated = 'broken';
  });
  origin.pass(FRESHNESS_MS);
  const { versions } = await origin.packument('alpha');
  assert.deepEqual([versions['1.0.0']?.scripts, versions['1.1.0']?.deprecated], [undefined, 'broken']);
  assert.deepEqual(await incidentKinds(origin), ['pin-changed alpha@1.0.0']);
});

test('publish times are pinned', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  origin.server.packages.mutate('alpha', ({ time }) => {
    time['1.0.0'] = '2026-01-01T00:00:00.000Z';
  });
  origin.pass(FRESHNESS_MS);
  assert.equal((await origin.packument('alpha')).time['1.0.0'], '2020-01-01T00:00:00.000Z');
  assert.deepEqual(await incidentKinds(origin), ['pin-changed alpha@1.0.0']);
});

test('one malformed version spoils only itself', async (t) => {
  const origin = await startOriginCore(t);
  const made = madePackage('alpha', { '1.0.0': {}, '1.1.0': {} });
  origin.server.packages.put(made);
  origin.server.packages.mutate('alpha', ({ versions }) => {
    if (versions['1.1.0']) versions['1.1.0'].name = 'beta';
  });
  assert.deepEqual(Object.keys((await origin.packument('alpha')).versions), ['1.0.0']);
  assert.deepEqual(await incidentKinds(origin), ['malformed-version alpha@1.1.0']);
});

test('keys are pinned at first sight, before what they signed', async (t) => {
  const origin = await startOriginCore(t, { signed: true });
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  assert.deepEqual(await allKinds(origin), ['upstream-key', 'learned']);
});

test('what is signed is not pinned before the keys could be fetched; what is not signed is', async (t) => {
  const origin = await startOriginCore(t, { signed: true });
  const { signer } = origin.server.packages;
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  origin.server.fault(/\/keys$/, 'error');
  await assert.rejects(origin.packument('alpha'), { status: 502, message: /keys could not be fetched/ });
  origin.server.packages.sign(undefined);
  origin.server.packages.put(madePackage('beta', { '1.0.0': {} }));
  assert.deepEqual(Object.keys((await origin.packument('beta')).versions), ['1.0.0']);
  origin.server.packages.sign(signer);
  origin.server.mend();
  origin.pass(10_000);
  assert.deepEqual(Object.keys((await origin.packument('alpha')).versions), ['1.0.0']);
});

test('an upstream that signs has its unsigned and wrongly signed new versions held back', async (t) => {
  const origin = await startOriginCore(t, { signed: true });
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {}, '1.2.0': {} }));
  origin.server.packages.mutate('alpha', ({ versions }) => {
    delete versions['1.1.0']?.dist.signatures;
    const signature = versions['1.2.0']?.dist.signatures?.[0];
    if (signature) signature.sig = versions['1.0.0']?.dist.signatures?.[0]?.sig ?? '';
  });
  origin.pass(FRESHNESS_MS);
  const packument = await origin.packument('alpha');
  assert.deepEqual([Object.keys(packument.versions), packument['dist-tags'].latest], [['1.0.0'], '1.0.0']);
  assert.deepEqual(await incidentKinds(origin), ['bad-signature alpha@1.2.0', 'unsigned alpha@1.1.0']);
});

test('a pin without a signature is blocked once another value is signed', async (t) => {
  const origin = await startOriginCore(t, { signed: true });
  const signer = origin.server.packages.signer;
  origin.server.packages.sign(undefined);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  await origin.packument('alpha');
  origin.server.packages.sign(signer);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': { bin: 'other.js' } }));
  origin.pass(FRESHNESS_MS);
  assert.deepEqual(Object.keys((await origin.packument('alpha')).versions), ['1.0.0']);
  await assert.rejects(origin.learner.version('alpha', '1.1.0', NETWORK), { status: 451 });
});

test('a tarball of an unknown package is learned through its version alone', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('@scope/alpha', { '1.0.0': {}, '1.1.0': {} }));
  const { row } = await origin.learner.version('@scope/alpha', '1.0.0', NETWORK);
  assert.equal(row.state, 'learned');
  assert.deepEqual(await kinds(origin), ['learned-version']);
  assert.equal(
    origin.server.requests.some(({ path }) => path === '/@scope/alpha'),
    false,
  );
  assert.deepEqual(Object.keys((await origin.packument('@scope/alpha')).versions), ['1.0.0', '1.1.0']);
  assert.deepEqual(await kinds(origin), ['learned-version', 'learned']);
});

test('a version that is nowhere is not found, and asked for once', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  const before = origin.server.requests.length;
  for (let i = 0; i < 2; i++) {
    await assert.rejects(origin.learner.version('alpha', '9.9.9', NETWORK), { code: 'not-found' });
  }
  assert.equal(origin.server.requests.length, before + 1);
});

test('both forms agree with the upstream, and the abbreviated one has true times', async (t) => {
  const origin = await startOriginCore(t);
  const made = madePackage('alpha', {
    '1.0.0': { dependencies: { b: '1' }, readme: 'long', scripts: { install: 'x' } },
  });
  origin.server.packages.put(made);
  const abbreviated = await origin.packument('alpha', 'abbreviated');
  const { dist: _, ...version } = abbreviated.versions['1.0.0'] ?? { dist: {} };
  assert.deepEqual(version, { name: 'alpha', version: '1.0.0', dependencies: { b: '1' }, hasInstallScript: true });
  assert.deepEqual(abbreviated.time, made.packument.time);
  assert.equal(abbreviated.modified, made.packument.time.modified);
});
