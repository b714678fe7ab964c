import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from './run.ts';

/** Where a program is, or null. */
export function findProgram(program: string): string | null {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, program)).find(isExecutable) ?? null;
}

/** Installs Debian packages where that is permitted, and says what it does and why it could not. */
export async function installPackages(packages: readonly string[], say: (line: string) => void): Promise<void> {
  const aptGet = findProgram('apt-get');
  if (aptGet === null || process.getuid?.() !== 0) {
    say(`not installed: ${packages.join(', ')} (installing needs apt-get and root)`);
    return;
  }
  say(`installing ${packages.join(', ')} with apt-get`);
  // nginx's package would start a server of its own on port 80.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const apt = (...args: string[]) => run(aptGet, args, { cwd: '/', env, timeoutMs: 180_000 });
  const install = () => apt('install', '-y', '-q', '--no-install-recommends', ...packages);
  let outcome = await install();
  if (outcome.code !== 0) {
    // Lists of packages are often missing on new machines, or too old.
    await apt('update', '-q');
    outcome = await install();
  }
  const why = outcome.stderr.trim().split('\n').at(-1);
  if (outcome.code !== 0) say(`apt-get could not install ${packages.join(', ')}: ${why}`);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
