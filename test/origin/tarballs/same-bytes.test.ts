import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { follow } from '../../support/ask.ts';
import { madePackage, sriOf } from '../../support/made-package.ts';
import { newNetwork, pnpm } from '../../support/visitor.ts';
import { startHost, startWholeOrigin } from '../../support/whole-origin.ts';

/** So that no mirror has it before a client wants it. */
const TOO_LARGE_FOR_PROBES = 300 * 1024;
const PATH = '/original/-/original-1.0.0.tgz';

/** A package, and one of a stranger that was learned first and has the very same tarball. */
async function startWithCopy(t: Parameters<typeof startWholeOrigin>[0]) {
  const origin = await startWholeOrigin(t);
  const bytes = randomBytes(TOO_LARGE_FOR_PROBES);
  const dist = { integrity: sriOf(bytes), shasum: createHash('sha1').update(bytes).digest('hex') };
  const tarball = madePackage('original', { '1.0.0': {} }).packument.versions['1.0.0']?.dist.tarball ?? '';
  const same = { dist: { ...dist, tarball } };
  const original = { ...madePackage('original', { '1.0.0': same }), tarballs: { '1.0.0': bytes } };
  origin.upstream.packages.put(original);
  origin.upstream.packages.put(madePackage('copy', { '0.9.0': {}, '1.0.0': same }));
  for (const path of ['/copy', '/original', PATH]) assert.equal((await origin.ask(path)).status, 200);
  return {
    ...origin,
    bytes,
    blobPath: `/-/federation/blob/sha512/${createHash('sha512').update(bytes).digest('hex')}`,
  };
}

test('whoever withdraws a copy of a tarball does not withdraw the original', async (t) => {
  const origin = await startWithCopy(t);
  const mirror = await startHost(t, origin);
  origin.upstream.packages.withdraw('copy', '1.0.0');
  origin.pass(400_000);
  await origin.ask('/copy');
  assert.equal((await origin.ask(origin.blobPath)).status, 200);

  const got = await follow(origin.door + PATH, { headers: pnpm, from: newNetwork() });
  assert.deepEqual([got.status, got.body.equals(origin.bytes)], [200, true]);
  assert.deepEqual(
    got.path.map((url) => new URL(url).origin),
    [mirror.url],
  );

  origin.upstream.packages.withdraw('original', '1.0.0');
  origin.pass(400_000);
  await origin.ask('/original');
  assert.equal((await origin.ask(origin.blobPath)).status, 451);
});
