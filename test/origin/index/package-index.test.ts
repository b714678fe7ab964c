import assert from 'node:assert/strict';
import { test } from 'node:test';
import { versionOfFile } from '../../../src/origin/index/package-index.ts';
import { madePackage } from '../../support/made-package.ts';
import { FRESHNESS_MS, startOriginCore } from '../../support/origin-core.ts';
import type { Manifest } from '../../support/upstream-packages.ts';

const NETWORK = '192.0.2.0/24';

/** A version whose tarball has a file name of its own at the upstream. */
function named(version: string, file: string): Partial<Manifest> {
  const dist = madePackage('alpha', { [version]: {} }).packument.versions[version]?.dist;
  if (!dist) throw new Error(`alpha@${version} was not made`);
  return { dist: { ...dist, tarball: dist.tarball.replace(/[^/]+$/, file) } };
}

test('a withdrawn version does not keep its file name from a listed one', async (t) => {
  const origin = await startOriginCore(t);
  // In the order of versions the withdrawn one comes last.
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '2.0.0': named('2.0.0', 'alpha-latest.tgz') }));
  await origin.packument('alpha');
  origin.server.packages.put(madePackage('alpha', { '1.0.0': {}, '1.1.0': named('1.1.0', 'alpha-latest.tgz') }));
  origin.pass(FRESHNESS_MS);
  const { view } = await origin.learner.packument('alpha', NETWORK);
  assert.deepEqual([view.rows.get('2.0.0')?.state, view.rows.get('1.1.0')?.file], ['withdrawn', 'alpha-latest.tgz']);
  const files = ['alpha-latest.tgz', 'alpha-1.1.0.tgz', 'alpha-2.0.0.tgz'].map((file) => versionOfFile(view, file));
  assert.deepEqual(files, ['1.1.0', '1.1.0', '2.0.0']);
});
