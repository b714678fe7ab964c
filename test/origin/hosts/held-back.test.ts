import assert from 'node:assert/strict';
import { test } from 'node:test';
import { madePackage } from '../../support/made-package.ts';
import { FRESHNESS_MS, type OriginCore, startOriginCore } from '../../support/origin-core.ts';

const NETWORK = '192.0.2.0/24';

/** Lets the upstream show no hash for a version, so that it can't be pinned. */
function dropHash({ server }: OriginCore, version: string): void {
  server.packages.mutate('alpha', ({ versions }) => {
    const { dist } = versions[version] ?? assert.fail(`alpha@${version} is not there`);
    for (const hash of ['integrity', 'shasum']) Reflect.deleteProperty(dist, hash);
  });
}

test('a package all of whose versions are held back is not said to be absent', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  dropHash(origin, '1.0.0');
  for (const _ of [1, 2]) {
    await assert.rejects(origin.packument('alpha'), { status: 404, message: /all versions .* are held back/ });
  }
  assert.equal(origin.server.count(/^\/alpha$/), 1);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  origin.pass(FRESHNESS_MS);
  assert.deepEqual(Object.keys((await origin.packument('alpha')).versions), ['1.1.0']);
});

test('a version that was learned alone outlives a packument that spoils it', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {} }));
  const { row } = await origin.learner.version('alpha', '1.0.0', NETWORK);
  origin.server.packages.mutate('alpha', ({ versions }) =>
    Object.assign(versions['1.0.0'] ?? {}, { version: '2.0.0' }),
  );
  const { view } = await origin.learner.packument('alpha', NETWORK);
  assert.deepEqual([view.withdrawn, view.rows.get('1.0.0')?.state], [null, 'listed']);
  assert.equal(view.rows.get('1.0.0')?.pinned, row.pinned);
});

test('a version that was learned alone outlives a packument of others that are held back', async (t) => {
  const origin = await startOriginCore(t);
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': {} }));
  await origin.learner.version('alpha', '1.0.0', NETWORK);
  dropHash(origin, '1.1.0');
  origin.server.packages.mutate('alpha', ({ versions }) => Reflect.deleteProperty(versions, '1.0.0'));
  origin.server.fault(/^\/alpha\/1\.0\.0$/, 'unavailable');
  await assert.rejects(origin.packument('alpha'), { status: 404, message: /held back/ });
  assert.equal((await origin.learner.version('alpha', '1.0.0', NETWORK)).row.state, 'learned');
});
