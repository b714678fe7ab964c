import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { applicationSays } from './application.ts';
import { isFetched } from './client-folders.ts';
import {
  createMachine,
  hostsIn,
  install,
  installFrozen,
  type Machine,
  readLockfile,
  removeMachine,
  startApplication,
} from './client-run.ts';
import type { Client } from './client-table.ts';
import { described, type Outcome } from './run.ts';

/** A token as registries make them; no test may find it anywhere but at the door. */
export const token = 'npm_0123456789abcdefghijABCDEFGHIJ456789';

/** Why a client's tests can't run here, or false. Where nothing may be skipped they run, and fail. */
export function reasonToSkip(client: Client): string | false {
  if (isFetched(client) || process.env.OPEN_REGISTRY_TESTS_STRICT === '1') return false;
  return `${client.label} could not be fetched`;
}

/**
 * What a user does: installs with nothing but a registry line, starts the application, and does both again on another machine from
 * the lockfile. Fails unless all of that works and the lockfile names no host but the registry's.
 * @param between called between both installs, to become another client network for instance
 */
export async function installTwice(
  t: TestContext,
  client: Client,
  registry: string,
  between = () => {},
): Promise<void> {
  const lockfile = await readLockfile(await installed(t, client, registry));
  assert.deepEqual(
    hostsIn(lockfile).filter((host) => host !== new URL(registry).host),
    [],
  );
  between();
  await installAndStart(await machineFor(t, client, registry, lockfile), installFrozen);
}

/** A machine on which the application was installed from a registry. */
export async function installed(t: TestContext, client: Client, registry: string): Promise<Machine> {
  const machine = await machineFor(t, client, registry);
  await installAndStart(machine, install);
  return machine;
}

/** One attempt to install, which may fail. */
export async function attempted(
  t: TestContext,
  client: Client,
  registry: string,
): Promise<{ machine: Machine; outcome: Outcome }> {
  const machine = await machineFor(t, client, registry);
  return { machine, outcome: await install(machine) };
}

async function machineFor(t: TestContext, client: Client, registry: string, lockfile?: string): Promise<Machine> {
  const machine = await createMachine(client, registry, token, lockfile);
  t.after(() => removeMachine(machine));
  return machine;
}

async function installAndStart(machine: Machine, how: (machine: Machine) => Promise<Outcome>): Promise<void> {
  succeeded(await how(machine));
  const { stdout } = succeeded(await startApplication(machine));
  assert.equal(stdout.trim(), applicationSays);
}

/** The outcome again; fails with everything the command said unless it ended well. */
export function succeeded(outcome: Outcome): Outcome {
  assert.equal(outcome.code, 0, described(outcome));
  return outcome;
}
