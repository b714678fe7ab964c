import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  checkApplication,
  installed,
  installTwice,
  machineFor,
  reasonToSkip,
  succeeded,
} from '../../support/client-check.ts';
import { hostsIn, inProject, installFrozen, readLockfile } from '../../support/client-run.ts';
import { npm12, pnpm12, yarn4 } from '../../support/client-table.ts';
import { type Cluster, startCluster } from '../../support/cluster.ts';
import { largeApplication } from '../../support/large-application.ts';
import { freePort, type Running, startCommand } from '../../support/processes.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const clients = [npm12, pnpm12, yarn4];
const application = largeApplication;

/** An organisation's own registry, which asks its origin about everything that it is asked for, as long as it can. */
async function startOwnDoor(t: TestContext, { originUrl }: Cluster): Promise<{ url: string; running: Running }> {
  const port = await freePort();
  const url = `http://localhost:${port}`;
  const flags = ['--origin', originUrl, '--data', tempFolder(), '--port', `${port}`, '--door', url, '--freshness', '0'];
  const running = await startCommand(t, ['mirror', ...flags]);
  await running.ready('mirror');
  return { url, running };
}

test("clients install through an organisation's own door, also when all the world is away", async (t) => {
  const cluster = await startCluster(t);
  const { url, running } = await startOwnDoor(t, cluster);
  const lockfiles = new Map<string, string>();
  for (const client of clients) {
    await t.test(`${client.label} installs through it`, { skip: reasonToSkip(client) }, async (t) => {
      const lockfile = await readLockfile(await installed(t, client, url, { application }));
      assert.deepEqual(
        hostsIn(lockfile).filter((host) => host !== new URL(url).host),
        [],
      );
      lockfiles.set(client.label, lockfile);
    });
  }
  await cluster.upstream.down();
  await cluster.origin.kill();
  for (const client of clients) {
    const lockfile = lockfiles.get(client.label);
    await t.test(`${client.label} installs frozen, and anew`, { skip: reasonToSkip(client) }, async (t) => {
      const machine = await machineFor(t, client, url, { application, lockfile });
      succeeded(await installFrozen(machine));
      await checkApplication(machine);
      await installTwice(t, client, url, { application });
    });
  }
  await t.test('what it never held is refused in words', async (t) => {
    const machine = await machineFor(t, npm12, url);
    const { code, stderr } = await inProject(machine, 'npm', ['view', 'is-odd', 'version', '--fetch-retries=0']);
    assert.notEqual(code, 0);
    assert.match(stderr, /E502/);
    assert.match(stderr, /origin/);
  });
  await t.test('and is there when the world is back', async (t) => {
    await cluster.upstream.up();
    await cluster.restart();
    const machine = await machineFor(t, npm12, url);
    const { stdout } = succeeded(await inProject(machine, 'npm', ['view', 'is-odd', 'version']));
    assert.equal(stdout.trim(), '3.0.1');
    assert.equal(await running.stop(), 0);
  });
});
