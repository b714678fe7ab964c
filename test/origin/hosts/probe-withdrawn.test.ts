import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startHost, startWholeOrigin } from '../../support/whole-origin.ts';

test('no host is judged by a tarball that was withdrawn', async (t) => {
  const origin = await startWholeOrigin(t);
  origin.put('alpha', { '1.0.0': {}, '1.1.0': {} });
  await origin.ask('/alpha');
  assert.equal((await origin.ask('/alpha/-/alpha-1.1.0.tgz')).status, 200);
  origin.upstream.packages.withdraw('alpha', '1.1.0');
  origin.pass(400_000);
  await origin.ask('/alpha');
  const mirror = await startHost(t, origin);
  assert.deepEqual(
    origin.hosts.list().map(({ id, healthy }) => [id, healthy]),
    [[mirror.hostId, true]],
  );
});
