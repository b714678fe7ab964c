import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { journalKinds } from '../../support/journal-kinds.ts';
import { madePackage } from '../../support/made-package.ts';
import { FRESHNESS_MS, type OriginCore, startOriginCore } from '../../support/origin-core.ts';
import type { Fault } from '../../support/upstream-faults.ts';

const NETWORK = '192.0.2.0/24';
const UNPUBLISHED = { name: 'alpha', time: { unpublished: { time: '2026-01-01T00:00:00.000Z' } } };

/** The answer that this document is in place of the right one. */
const instead =
  (document: object): Fault =>
  () =>
    gzipSync(JSON.stringify(document));

/** An origin that knows alpha@1.0.0 and has to ask for it again. */
async function startKnowing(t: TestContext): Promise<OriginCore> {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  await origin.packument('alpha');
  // News, or the answer is 304 whatever is wrong with the upstream.
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  origin.pass(FRESHNESS_MS);
  return origin;
}

const isStale = async ({ learner }: OriginCore) => (await learner.packument('alpha', NETWORK)).stale;
const withdrawals = async ({ metadata }: OriginCore) =>
  (await journalKinds(metadata)).filter((kind) => kind === 'withdraw').length;

const TROUBLES: [what: string, fault: Fault, message: RegExp][] = [
  [
    'a document without versions',
    instead({ name: 'alpha', 'dist-tags': {} }),
    /alpha: malformed packument: .*no versions/,
  ],
  ['a document that has lost all but its name', instead({ name: 'alpha' }), /no versions/],
  ['a 404 with a page', 'missing', /packument of alpha: the upstream's 404 came with a page \(text\/html\)/],
];

for (const [what, fault, message] of TROUBLES) {
  test(`${what} withdraws nothing, and says nothing of what is not known`, async (t) => {
    const origin = await startKnowing(t);
    origin.server.fault(/^\/alpha/, fault);
    assert.equal(await isStale(origin), true);
    assert.equal((await origin.learner.version('alpha', '1.0.0', NETWORK)).row.state, 'listed');
    origin.server.mend();
    origin.pass(FRESHNESS_MS);
    assert.deepEqual(Object.keys((await origin.packument('alpha')).versions), ['1.0.0', '1.1.0']);
    assert.equal(await withdrawals(origin), 0);

    const other = await startOriginCore(t);
    other.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
    other.server.fault(/^\/alpha/, fault);
    await assert.rejects(other.packument('alpha'), { status: 502, message });
    other.server.mend();
    assert.equal(Object.keys((await other.packument('alpha')).versions).length, 1, 'no 404 is remembered');
  });
}

test('a 404 in plain text withdraws nothing; of what is not known it stands, as servers of files say it', async (t) => {
  const origin = await startKnowing(t);
  origin.server.fault(/^\/(alpha|beta)/, 'unrouted');
  assert.equal(await isStale(origin), true);
  await assert.rejects(origin.packument('beta'), { status: 404 });
  assert.equal(await withdrawals(origin), 0);
});

test('a page at the second look leaves a package as it is known', async (t) => {
  const origin = await startKnowing(t);
  const gone = instead({ ...UNPUBLISHED });
  const looks = origin.server.count(/^\/alpha$/);
  origin.server.fault(/^\/alpha$/, (body) => {
    origin.server.mend();
    origin.server.fault(/^\/alpha$/, 'missing');
    return (gone as (body: Buffer) => Buffer)(body);
  });
  assert.equal(await isStale(origin), true);
  assert.equal(origin.server.count(/^\/alpha$/) - looks, 2);
  assert.equal(await withdrawals(origin), 0);
});

for (const [what, document] of [
  ['says that it was unpublished', UNPUBLISHED],
  ['says that it has no versions', { name: 'alpha', 'dist-tags': {}, versions: {} }],
] as const) {
  test(`a package whose document ${what} is withdrawn if it says so twice, and back when it is`, async (t) => {
    const origin = await startKnowing(t);
    const once = instead(document) as (body: Buffer) => Buffer;
    origin.server.fault(/^\/alpha$/, (body) => {
      origin.server.mend();
      return once(body);
    });
    assert.equal(await isStale(origin), true, 'the second look shows versions');
    origin.server.fault(/^\/alpha$/, once);
    origin.pass(FRESHNESS_MS);
    await assert.rejects(origin.packument('alpha'), { status: 451 });
    assert.equal(await withdrawals(origin), 1);
    origin.server.mend();
    origin.pass(FRESHNESS_MS);
    assert.deepEqual(Object.keys((await origin.packument('alpha')).versions), ['1.0.0', '1.1.0']);
  });
}

test('a page in place of a version learned alone, or of one that is new, says nothing of it', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  await origin.learner.version('alpha', '1.0.0', NETWORK);
  origin.server.fault(/^\/alpha\/1/, 'missing');
  const lagging = madePackage('alpha', { '1.1.0': {} }).packument;
  origin.server.fault(/^\/alpha$/, () => gzipSync(JSON.stringify(lagging)));
  origin.pass(FRESHNESS_MS);
  await origin.packument('alpha');
  assert.equal((await origin.learner.version('alpha', '1.0.0', NETWORK)).row.state, 'learned');
  await assert.rejects(origin.learner.version('alpha', '1.2.0', NETWORK), { status: 404 }, 'the packument tells');
  origin.server.fault(/^\/alpha/, 'missing');
  await assert.rejects(origin.learner.version('alpha', '1.3.0', NETWORK), { status: 502 });
});

test('an upstream without documents of single versions still gives tarballs of packages that nobody asked for', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  origin.server.fault(/^\/alpha\/1/, 'missing');
  assert.equal((await origin.learner.version('alpha', '1.0.0', NETWORK)).row.state, 'listed');
});
