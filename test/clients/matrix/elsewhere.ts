import assert from 'node:assert/strict';
import { test } from 'node:test';
import { replacedRegistry } from '../../../src/io/npm-defaults.ts';
import { checkApplication, installed, machineFor, reasonToSkip, succeeded } from '../../support/client-check.ts';
import { hostsIn, installFrozen, readLockfile } from '../../support/client-run.ts';
import { type Client, everydayClients, furtherClients, yarn1 } from '../../support/client-table.ts';
import { type Federation, startFederation } from '../../support/federation.ts';
import { described } from '../../support/run.ts';
import { startUpstream } from '../../support/upstream.ts';

const clients = [...everydayClients, ...furtherClients];
const tarball = /\/-\/[^/?]+\.tgz/;

/** Tarballs that the federation's door was asked for. */
async function askedHere({ running, originPort }: Federation): Promise<number> {
  return (await running.visits()).filter(({ port, url }) => port === originPort && tarball.test(url)).length;
}

test('what each client does with a lockfile that was made at another registry', async (t) => {
  const here = await startFederation(t);
  const elsewhere = await startUpstream(t);
  await installed(t, yarn1, here.door.url);
  for (const client of clients) {
    await t.test(`${client.label} ${client.foreignLockfile} it`, { skip: reasonToSkip(client) }, async (t) => {
      const lockfile = await readLockfile(await installed(t, client, elsewhere.url));
      const machine = await machineFor(t, client, here.door.url, { lockfile });
      const before = { here: await askedHere(here), elsewhere: elsewhere.requests.length };
      here.moveOn();
      const outcome = await installFrozen(machine);
      const seen = elsewhere.requests.slice(before.elsewhere);
      const fetched = [(await askedHere(here)) - before.here, seen.filter(({ path }) => tarball.test(path)).length];
      assert.deepEqual(
        fetched.map((count) => count > 0),
        { follows: [false, true], replaces: [true, false], refuses: [false, false] }[client.foreignLockfile],
        described(outcome),
      );
      assert.ok(
        seen.every(({ headers }) => headers.authorization === undefined),
        'the other registry got no token',
      );
      if (client.foreignLockfile !== 'refuses') await checkApplication(machine);
      else assert.match(succeedsNot(outcome), /EALLOWREMOTE/);
    });
  }
});

test("npm takes the public registry's host in a lockfile for the configured registry", async (t) => {
  const here = await startFederation(t);
  const publicRegistry = replacedRegistry();
  assert.ok(publicRegistry);
  for (const client of clients.filter(({ command }) => command === 'npm')) {
    await t.test(client.label, { skip: reasonToSkip(client) }, async (t) => {
      here.moveOn();
      const made = await readLockfile(await installed(t, client, here.door.url));
      const lockfile = made.replaceAll(`${here.door.url}/`, publicRegistry);
      assert.deepEqual(hostsIn(lockfile), [new URL(publicRegistry).host]);
      await installFromPublic(t, client, here, lockfile);
    });
  }
});

async function installFromPublic(
  t: Parameters<typeof machineFor>[0],
  client: Client,
  here: Federation,
  lockfile: string,
): Promise<void> {
  const machine = await machineFor(t, client, here.door.url, { lockfile });
  const before = await askedHere(here);
  here.moveOn();
  succeeded(await installFrozen(machine));
  await checkApplication(machine);
  assert.ok((await askedHere(here)) - before >= machine.application.packagesMin, 'every tarball came from here');
}

function succeedsNot(outcome: Awaited<ReturnType<typeof installFrozen>>): string {
  assert.notEqual(outcome.code, 0);
  return described(outcome);
}
