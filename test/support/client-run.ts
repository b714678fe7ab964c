import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { type Application, smallApplication, writeApplication } from './application.ts';
import { clientPrograms } from './client-folders.ts';
import type { Client, Site } from './client-table.ts';
import { type Outcome, run } from './run.ts';

/** A user's machine for one client: a project to install, and a home, caches and settings that nobody used before. */
export interface Machine extends Site {
  readonly root: string;
  readonly client: Client;
  readonly application: Application;
}

export interface MachineOptions {
  /** What there is to install; the small application by default. */
  readonly application?: Application | undefined;
  /** Text from an earlier install. */
  readonly lockfile?: string | undefined;
}

/** Makes a machine with an application as its project. */
export async function createMachine(
  client: Client,
  registry: string,
  token: string,
  { application = smallApplication, lockfile }: MachineOptions = {},
): Promise<Machine> {
  const root = await mkdtemp(join(tmpdir(), `open-registry-${client.command}-`));
  const folders = { root, project: join(root, 'project'), home: join(root, 'home') };
  const machine: Machine = { ...folders, client, registry, token, application };
  await mkdir(join(root, 'tmp'));
  await writeFiles(machine.home, client.settings(machine));
  await writeApplication(machine.project, application);
  if (lockfile !== undefined) await writeFile(join(machine.project, client.lockfile), lockfile);
  return machine;
}

export function removeMachine(machine: Machine): Promise<void> {
  return rm(machine.root, { recursive: true, force: true, maxRetries: 3 });
}

export function install(machine: Machine): Promise<Outcome> {
  return inProject(machine, machine.client.command, machine.client.install);
}

export function installFrozen(machine: Machine): Promise<Outcome> {
  return inProject(machine, machine.client.command, machine.client.frozen);
}

/** Starts the installed application; it prints one known line when every package of it can be loaded. */
export function startApplication(machine: Machine): Promise<Outcome> {
  const [command = 'node', ...args] = machine.client.start;
  return inProject(machine, command, args);
}

/** Runs any command of the machine's client, such as `npm audit`. */
export function inProject(
  machine: Machine,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  return run(command, args, { cwd: machine.project, env: { ...environment(machine), ...env } });
}

export function readLockfile(machine: Machine): Promise<string> {
  return readFile(join(machine.project, machine.client.lockfile), 'utf8');
}

/** Every `host:port` that stands in a URL of a lockfile, once. npm also writes down where to give money; that names no registry. */
export function hostsIn(lockfile: string): string[] {
  const addresses = lockfile
    .split('\n')
    .filter((line) => !/^\s*"url":/.test(line))
    .join('\n')
    .matchAll(/https?:\/\/([^/"'\s#]+)/g);
  return [...new Set([...addresses].map((match) => match[1] ?? ''))];
}

/** Nothing of the tester's own environment: no settings, no CI flags, no proxies, no caches. */
function environment({ client, home, root }: Machine): NodeJS.ProcessEnv {
  const path = [clientPrograms(client), dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'];
  return {
    PATH: path.join(delimiter),
    HOME: home,
    TMPDIR: join(root, 'tmp'),
    LANG: 'C.UTF-8',
    // For root, yarn 1 would otherwise keep these in a folder of the whole machine.
    XDG_CACHE_HOME: join(home, '.cache'),
    XDG_DATA_HOME: join(home, '.local', 'share'),
  };
}

async function writeFiles(folder: string, files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
}
