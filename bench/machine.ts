/** The machine under the figures, and the programs that the benchmark borrows from it. */
import { accessSync, constants } from 'node:fs';
import { cpus, platform, release, totalmem } from 'node:os';
import { delimiter, join } from 'node:path';
import { run } from '../test/support/run.ts';

/** Absolute paths of programs; null for what is not there. */
export type Tools = {
  readonly wrk: string | null;
  readonly nginx: string | null;
  readonly ip: string | null;
  readonly tc: string | null;
};

/** Debian's package for each program. */
const PACKAGES = { wrk: 'wrk', nginx: 'nginx-light', ip: 'iproute2', tc: 'iproute2' } as const;

/** One line: processor, cores, memory, system, runtime. */
export function machineLine(): string {
  const [processor] = cpus();
  const gib = Math.round(totalmem() / 2 ** 30);
  const system = `${platform()} ${release().split('-')[0]}`;
  return `${processor?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, ${gib} GiB, ${system}, node ${process.version}`;
}

/** Finds the programs, and installs what is missing where that is permitted. */
export async function findTools(say: (line: string) => void): Promise<Tools> {
  const wanted = Object.entries(PACKAGES).filter(([program]) => find(program) === null);
  const missing = [...new Set(wanted.map(([, name]) => name))];
  if (missing.length > 0) await install(missing, say);
  return { wrk: find('wrk'), nginx: find('nginx'), ip: find('ip'), tc: find('tc') };
}

async function install(packages: readonly string[], say: (line: string) => void): Promise<void> {
  const aptGet = find('apt-get');
  if (aptGet === null || process.getuid?.() !== 0) {
    say(`not installed: ${packages.join(', ')} (installing needs apt-get and root)`);
    return;
  }
  say(`installing ${packages.join(', ')} with apt-get`);
  // nginx's package would start a server of its own on port 80.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const args = ['install', '-y', '-q', '--no-install-recommends', ...packages];
  const { code, stderr } = await run(aptGet, args, { cwd: '/', env, timeoutMs: 180_000 });
  if (code !== 0) say(`apt-get could not install ${packages.join(', ')}: ${stderr.trim().split('\n').at(-1)}`);
}

function find(program: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, program)).find(isExecutable) ?? null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
