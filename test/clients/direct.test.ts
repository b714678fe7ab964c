import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installTwice, reasonToSkip } from '../support/client-check.ts';
import { bun, pnpm12 } from '../support/client-table.ts';
import { loopbackNetwork, startForwarder } from '../support/forwarder.ts';
import { startUpstream } from '../support/upstream.ts';

// The ground that the other tests of clients stand on, with the two quickest clients: the application installs from the test upstream.
for (const [number, client] of [pnpm12, bun].entries()) {
  test(`${client.label} installs from the test upstream`, { skip: reasonToSkip(client) }, async (t) => {
    const upstream = await startUpstream(t);
    const door = await startForwarder(t);
    upstream.tarballBase = door.url;
    door.route(Number(new URL(upstream.url).port), loopbackNetwork(number));
    await installTwice(t, client, door.url);
    assert.ok(upstream.count(/\.tgz$/) > 80, 'both installs fetch every tarball');
    assert.ok(door.connections() > 0);
  });
}
