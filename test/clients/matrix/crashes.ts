import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installTwice, machineFor, reasonToSkip, succeeded } from '../../support/client-check.ts';
import { install } from '../../support/client-run.ts';
import { pnpm12 } from '../../support/client-table.ts';
import { startFederation } from '../../support/federation.ts';
import { largeApplication } from '../../support/large-application.ts';
import { runCommand } from '../../support/processes.ts';
import { seeded } from '../../support/seeded.ts';
import { until } from '../../support/until.ts';

const ROUNDS = 8;
const SEED = 20_260;
/** A first install of the large application takes more than twice as many. */
const REQUESTS_MAX = 400;

const client = { ...pnpm12, install: [...pnpm12.install, ...(pnpm12.hasty ?? [])] };
const application = largeApplication;

test('killed at any moment of an install, all servers start again, and nothing is wrong', {
  skip: reasonToSkip(client),
}, async (t) => {
  const federation = await startFederation(t);
  const random = seeded(SEED);
  for (let round = 1; round <= ROUNDS; round++) {
    const requests = 1 + Math.floor(random() * REQUESTS_MAX);
    await t.test(`after ${requests} requests`, async (t) => {
      const { running } = federation;
      const installing = install(await machineFor(t, client, federation.door.url, { application }));
      const isTime = async () => (await running.visits()).length >= requests;
      await Promise.race([until(`${requests} requests`, isTime, 60_000), installing]);
      await running.kill();
      succeeded(await runCommand(['verify', federation.data]));
      await federation.start();
      await installing;
    });
  }
  await installTwice(t, client, federation.door.url, { application, between: federation.moveOn });
  succeeded(await runCommand(['verify', federation.data]));
  assert.equal(await federation.running.stop(), 0, federation.running.output());
});
