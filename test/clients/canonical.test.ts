import assert from 'node:assert/strict';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDoor } from '../../src/core/door.ts';
import { reasonToSkip } from '../support/client-check.ts';
import {
  createMachine,
  hostsIn,
  install,
  installFrozen,
  type Machine,
  readLockfile,
  removeMachine,
} from '../support/client-run.ts';
import { type Client, everydayClients } from '../support/client-table.ts';
import { described, type Outcome } from '../support/run.ts';
import { startUpstream, type Upstream } from '../support/upstream.ts';
import { startWholeOrigin } from '../support/whole-origin.ts';

// Bound to an address that is no door by itself, so that its requests come to the canonical one.
const ADDRESS = '127.0.0.2';

const dependencies = { 'is-odd': '3.0.1', '@isaacs/string-locale-compare': '1.1.0' };

/** A user's machine that takes the host of the test upstream for that of the public registry, as npm does with the true one. */
async function machineFor(client: Client, registry: string, upstream: Upstream): Promise<Machine> {
  const machine = await createMachine(client, registry, 'token');
  await writeFile(join(machine.project, 'package.json'), JSON.stringify({ name: 'a', version: '1.0.0', dependencies }));
  await appendFile(join(machine.home, '.npmrc'), `replace-registry-host=${new URL(upstream.url).hostname}\n`);
  return machine;
}

function succeeded(outcome: Outcome): void {
  assert.equal(outcome.code, 0, described(outcome));
}

for (const client of everydayClients.filter(({ command }) => command === 'npm')) {
  test(`${client.label} writes a canonical lockfile at a canonical door, and installs through the door`, {
    skip: reasonToSkip(client),
  }, async (t) => {
    const upstream = await startUpstream(t);
    const config = { host: ADDRESS, doors: [makeDoor('canonical', 'http://registry.example')] };
    const origin = await startWholeOrigin(t, { upstream, config, deps: { canonicalRegistry: upstream.url } });
    const machine = await machineFor(client, `http://${ADDRESS}:${origin.port}`, upstream);
    t.after(() => removeMachine(machine));
    succeeded(await install(machine));
    assert.deepEqual(hostsIn(await readLockfile(machine)), [new URL(upstream.url).host]);
    succeeded(await installFrozen(machine));
    const tarballs = upstream.requests.filter(({ path }) => path.endsWith('.tgz'));
    assert.equal(tarballs.length, 3, 'the origin fetched each tarball once');
    for (const { headers } of upstream.requests) assert.match(headers['user-agent'] ?? '', /^open-registry\//);
  });
}
