/** The data directory of an origin that has seen a bit of everything that its log can tell. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { callAdmin } from '../../../src/io/admin-socket.ts';
import { madePackage } from '../made-package.ts';
import { startHost, startWholeOrigin, type WholeOrigin } from '../whole-origin.ts';

/**
 * A running one. `alpha` has versions 1.0.0 (pinned anew), 1.1.0 (its tarball is measured) and 1.2.0 (withdrawn), `beta`
 * is withdrawn, nothing happened to `@scope/gamma`. A host was admitted and evicted.
 */
export async function startLivedInOrigin(t: TestContext): Promise<WholeOrigin> {
  const origin = await startWholeOrigin(t);
  const { upstream } = origin;
  origin.put('alpha', { '1.0.0': {}, '1.1.0': {}, '1.2.0': {} });
  for (const name of ['beta', '@scope/gamma']) origin.put(name);
  for (const name of ['alpha', 'beta', '@scope/gamma']) await answered(origin, `/${name}`);
  await answered(origin, '/alpha/-/alpha-1.1.0.tgz');
  upstream.packages.withdraw('alpha', '1.2.0');
  upstream.packages.withdraw('beta');
  origin.pass(FRESHNESS_MS);
  await answered(origin, '/alpha');
  await origin.ask('/beta');
  await repin(origin);
  const { hostId } = await startHost(t, origin);
  await callAdmin(origin.data, 'POST', ['hosts', hostId, 'evict'], { reason: 'a test' });
  return origin;
}

const FRESHNESS_MS = 300_000;

async function answered(origin: WholeOrigin, path: string): Promise<void> {
  assert.equal((await origin.ask(path)).status, 200, path);
}

/** By an admin's order, after the upstream shows another hash. */
async function repin({ upstream, data }: WholeOrigin): Promise<void> {
  const { packument, tarballs } = madePackage('alpha', { '1.0.0': {}, '1.1.0': {} });
  const dist = packument.versions['1.0.0']?.dist as { integrity: string };
  dist.integrity = `sha512-${Buffer.alloc(64, 7).toString('base64')}`;
  upstream.packages.put({ packument, tarballs });
  await callAdmin(data, 'POST', ['packages', 'alpha', '1.0.0', 'repin'], { reason: 'the author confirmed it' });
}
