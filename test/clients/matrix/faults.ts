import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installed, installTwice, reasonToSkip } from '../../support/client-check.ts';
import {
  LARGER,
  livedThrough,
  mirrorFaults,
  ofAnyone,
  ofClients,
  rightFiles,
  told,
} from '../../support/client-faults.ts';
import { everydayClients, forStrangers, furtherClients, npm12, pnpm12, yarn1 } from '../../support/client-table.ts';
import { addHost, addMeddledHost, startCluster, untilHealthy } from '../../support/cluster.ts';
import { seeded } from '../../support/seeded.ts';
import { until } from '../../support/until.ts';

const clients = [...everydayClients, ...furtherClients].map(forStrangers);
const redirected = clients.filter((client) => client.redirected);
const others = clients.filter((client) => !client.redirected);

/**
 * What is asked for again comes from the origin, and the mirror that it came from before is then avoided: two attempts. One
 * more for what the second asks for before that, and for npm's own haste (npm-alone.ts).
 */
const TRIES_MAX = 3;

test('a mirror that lies to clients and spares probes: nothing wrong is installed, and a rerun goes well', async (t) => {
  const cluster = await startCluster(t);
  const liar = await addMeddledHost(t, cluster);
  const { meddler } = liar;
  await installed(t, yarn1, cluster.door.url);
  for (const client of redirected) {
    await t.test(client.label, { skip: reasonToSkip(client) }, async (t) => {
      const right = await rightFiles(t, client, cluster);
      for (const [name, fault] of Object.entries(await mirrorFaults())) {
        // npm keeps files of it, with any registry (npm-alone.ts).
        if (name === LARGER && client.command === 'npm') continue;
        await t.test(name, async (t) => {
          t.after(() => meddler.mend());
          const before = meddler.meddled;
          meddler.fault(ofClients, fault);
          t.diagnostic(told(await livedThrough(t, { client, fault: name, right }, cluster, TRIES_MAX)));
          assert.ok(meddler.meddled > before, 'the client was sent to the liar');
        });
      }
      await t.test('refused connections', async (t) => {
        const refused = meddler.next(ofClients).then(() => meddler.refuse());
        t.diagnostic(told(await livedThrough(t, { client, fault: 'refused', right }, cluster, TRIES_MAX)));
        await refused;
        await meddler.accept();
        await untilHealthy(cluster, liar.id, true);
      });
    });
  }
  meddler.fault(ofClients, 'corrupt');
  const before = meddler.meddled;
  for (const client of others) {
    await t.test(`${client.label} is not sent there`, { skip: reasonToSkip(client) }, async (t) => {
      cluster.moveOn();
      await installTwice(t, client, cluster.door.url);
      assert.equal(meddler.meddled, before);
    });
  }
});

test('npm is sent to no liar that nobody vouches for, where the operator wants it so', async (t) => {
  const cluster = await startCluster(t, ['--redirect-trusted', 'npm']);
  const { meddler } = await addMeddledHost(t, cluster);
  await installed(t, yarn1, cluster.door.url);
  meddler.fault(ofClients, (await mirrorFaults())[LARGER] ?? assert.fail());
  for (const client of redirected.filter(({ command }) => command === 'npm')) {
    await t.test(client.label, { skip: reasonToSkip(client) }, async (t) => {
      cluster.moveOn();
      await installTwice(t, client, cluster.door.url);
      assert.equal(meddler.meddled, 0);
    });
  }
});

test('mirrors that treat probes like clients are out of the rotation within seconds', async (t) => {
  const cluster = await startCluster(t);
  await installed(t, yarn1, cluster.door.url);
  const faults = Object.entries(await mirrorFaults());
  const liars = await Promise.all([...faults, ['refused', null] as const].map(() => addMeddledHost(t, cluster)));
  await addHost(t, cluster);
  const started = performance.now();
  const out = [...faults, ['refused', null] as const].map(async ([name, fault], number) => {
    const { id, meddler } = liars[number] as (typeof liars)[number];
    if (fault === null) await meddler.refuse();
    else meddler.fault(ofAnyone, fault);
    await untilHealthy(cluster, id, false);
    t.diagnostic(`${name}: out after ${((performance.now() - started) / 1000).toFixed(1)} s`);
  });
  await Promise.all(out);
  for (const client of [npm12, pnpm12].map(forStrangers)) {
    await t.test(`${client.label} installs at once`, { skip: reasonToSkip(client) }, async (t) => {
      const next = liars.map(({ meddler }) => meddler.next(ofClients));
      cluster.moveOn();
      await installTwice(t, client, cluster.door.url, { between: cluster.moveOn });
      assert.equal(await Promise.race([...next, 'nobody was sent to a liar']), 'nobody was sent to a liar');
    });
  }
});

test('a mirror that is killed in mid-download: nothing wrong is installed, and a rerun goes well', async (t) => {
  const cluster = await startCluster(t);
  await installed(t, yarn1, cluster.door.url);
  const [doomed] = await Promise.all([addHost(t, cluster), addHost(t, cluster)]);
  const random = seeded(3);
  for (const client of redirected) {
    await t.test(client.label, { skip: reasonToSkip(client) }, async (t) => {
      const right = await rightFiles(t, client, cluster);
      const before = (await doomed.running.visits()).filter(ofClients).length;
      const last = before + 1 + Math.floor(random() * 8);
      const killed = until(`${last} visits`, async () => {
        return (await doomed.running.visits()).filter(ofClients).length >= last;
      }).then(() => doomed.running.kill());
      t.diagnostic(told(await livedThrough(t, { client, fault: 'killed', right }, cluster, TRIES_MAX)));
      await killed;
      await doomed.restart();
    });
  }
});
