import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Application } from './application.ts';
import { isFetched } from './client-folders.ts';
import {
  createMachine,
  hostsIn,
  install,
  installFrozen,
  type Machine,
  type MachineOptions,
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

export interface TwiceOptions {
  readonly application?: Application | undefined;
  /** Called between both installs, to become another client network for instance. */
  readonly between?: () => unknown;
}

/**
 * What a user does: installs with nothing but a registry line, starts the application, and does both again on another machine from
 * the lockfile. Fails unless all of that works and the lockfile names no host but the registry's.
 */
export async function installTwice(
  t: TestContext,
  client: Client,
  registry: string,
  { application, between }: TwiceOptions = {},
): Promise<void> {
  const lockfile = await readLockfile(await installed(t, client, registry, { application }));
  assert.deepEqual(
    hostsIn(lockfile).filter((host) => host !== new URL(registry).host),
    [],
  );
  await between?.();
  await installAndStart(await machineFor(t, client, registry, { application, lockfile }), installFrozen);
}

/** A machine on which an application was installed from a registry. */
export async function installed(
  t: TestContext,
  client: Client,
  registry: string,
  options?: MachineOptions,
): Promise<Machine> {
  const machine = await machineFor(t, client, registry, options);
  await installAndStart(machine, install);
  return machine;
}

/** One attempt to install, which may fail. */
export async function attempted(
  t: TestContext,
  client: Client,
  registry: string,
  options?: MachineOptions,
): Promise<{ machine: Machine; outcome: Outcome }> {
  const machine = await machineFor(t, client, registry, options);
  return { machine, outcome: await install(machine) };
}

/** A machine that is removed when the test ends. */
export async function machineFor(
  t: TestContext,
  client: Client,
  registry: string,
  options?: MachineOptions,
): Promise<Machine> {
  const machine = await createMachine(client, registry, token, options);
  t.after(() => removeMachine(machine));
  return machine;
}

async function installAndStart(machine: Machine, how: (machine: Machine) => Promise<Outcome>): Promise<void> {
  succeeded(await how(machine));
  await checkApplication(machine);
}

/** Fails unless the installed application runs and says what it should. */
export async function checkApplication(machine: Machine): Promise<void> {
  const { stdout } = succeeded(await startApplication(machine));
  assert.equal(stdout.trim(), machine.application.says);
}

/** The outcome again; fails with everything the command said unless it ended well. */
export function succeeded(outcome: Outcome): Outcome {
  assert.equal(outcome.code, 0, described(outcome));
  return outcome;
}
