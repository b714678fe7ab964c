import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { readLockfile } from '../../src/core/lockfile.ts';
import { verdictsOf } from '../../src/core/lockfile-check.ts';
import { applyEdits, planRewrite, type Target } from '../../src/core/lockfile-rewrite.ts';
import { succeeded, token } from './client-check.ts';
import {
  createMachine,
  hostsIn,
  install,
  installFrozen,
  type Machine,
  removeMachine,
  startApplication,
} from './client-run.ts';
import type { Client } from './client-table.ts';
import { startUpstream, type Upstream } from './upstream.ts';

/** What a lockfile may be rewritten to; yarn 1 has no portable form. */
export type Way = 'moved' | 'portable';

/**
 * Installs the application from a registry that then goes away, rewrites the lockfile, and installs from it and nothing
 * else at another registry. `lockfile check` must say beforehand what will happen.
 */
export async function installRewritten(t: TestContext, client: Client, ways: readonly Way[]): Promise<void> {
  const dead = await startUpstream(t);
  const alive = await startUpstream(t);
  const files = await elsewhere(t, client, dead);
  const lockfile = await madeAt(t, client, dead.url);
  await Promise.all([dead.down(), files?.down()]);
  assert.equal(works(lockfile, alive.url), false);
  for (const way of ways) {
    const target: Target = way === 'moved' ? { to: alive.url } : 'portable';
    const rewritten = applyEdits(lockfile, planRewrite(readLockfile(lockfile), target).edits);
    assert.equal(works(rewritten, alive.url), true);
    await installFrom(t, client, alive.url, Buffer.from(rewritten).toString());
  }
}

/** pnpm and yarn 4 write down the URLs of tarballs only if they are not where the registry's would be. */
async function elsewhere(t: TestContext, client: Client, registry: Upstream): Promise<Upstream | null> {
  if (!/^(pnpm|yarn 4)/.test(client.label)) return null;
  const files = await startUpstream(t);
  registry.tarballBase = files.url;
  return files;
}

async function madeAt(t: TestContext, client: Client, registry: string): Promise<Uint8Array> {
  const machine = await machineFor(t, client, registry);
  succeeded(await install(machine));
  const lockfile = await readFile(join(machine.project, client.lockfile));
  assert.equal(hostsIn(lockfile.toString().replaceAll('%3A', ':').replaceAll('%2F', '/')).length, 1);
  return lockfile;
}

async function installFrom(t: TestContext, client: Client, registry: string, lockfile: string): Promise<void> {
  const machine = await machineFor(t, client, registry);
  await writeFile(join(machine.project, client.lockfile), lockfile);
  succeeded(await installFrozen(machine));
  assert.match(succeeded(await startApplication(machine)).stdout, /^application runs: [\d. ]+true .*true\n$/);
  assert.equal(await readFile(join(machine.project, client.lockfile), 'utf8'), lockfile);
}

async function machineFor(t: TestContext, client: Client, registry: string): Promise<Machine> {
  const machine = await createMachine(client, registry, token);
  t.after(() => removeMachine(machine));
  return machine;
}

/** Whether `check` says so of all versions of the client. */
function works(lockfile: Uint8Array, registry: string): boolean {
  const verdicts = verdictsOf(readLockfile(lockfile), registry, null).map((verdict) => verdict.works);
  assert.equal(new Set(verdicts).size, 1);
  return verdicts[0] ?? false;
}
