import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cacheRoot, projectRoot } from './folders.ts';
import { described, type Outcome, run } from './run.ts';
import { findProgram, installPackages } from './system-packages.ts';

/** Where Debian keeps Go packages, the checksum database's among them. */
const GO_PATH = '/usr/share/gocode';
const PACKAGES = ['golang-go', 'golang-golang-x-mod-dev'];
const SOURCES = join(projectRoot, 'test/interop/go');

const isThere = () => findProgram('go') !== null && existsSync(join(GO_PATH, 'src/golang.org/x/mod/sumdb/tlog'));

/** Why the checker can't be built here, or false. Where nothing may be skipped it is built, and that fails. */
export function reasonToSkipGo(): string | false {
  if (isThere() || process.env.OPEN_REGISTRY_TESTS_STRICT === '1') return false;
  return `Go is not installed (Debian packages ${PACKAGES.join(', ')})`;
}

/** Installs Go where that is permitted, unless it is there. */
export async function prepareGo(say: (line: string) => void): Promise<void> {
  if (!isThere()) await installPackages(PACKAGES, say);
  if (!isThere()) throw new Error(`Go's checksum database packages are not in ${GO_PATH}`);
}

/** Builds the checker, unless it was built from the same sources before; resolves to its path. */
async function checker(): Promise<string> {
  const files = readdirSync(SOURCES).map((name) => join(SOURCES, name));
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  const program = join(cacheRoot, 'go', hash.digest('hex').slice(0, 16), 'checklog');
  if (!existsSync(program)) await build(program);
  return program;
}

async function build(program: string): Promise<void> {
  const made = `${program}.${process.pid}`;
  await mkdir(dirname(program), { recursive: true });
  // Nothing of the tester's own Go set-up, and nothing from the network.
  const go = { GO111MODULE: 'off', GOPATH: GO_PATH, GOFLAGS: '', GOCACHE: join(cacheRoot, 'go/build') };
  const env = { PATH: process.env.PATH, HOME: join(cacheRoot, 'go'), ...go };
  const outcome = await run('go', ['build', '-o', made, '.'], { cwd: SOURCES, env });
  if (outcome.code !== 0) throw new Error(described(outcome));
  await rename(made, program);
  await rm(made, { force: true });
}

export interface CheckOptions {
  /** How many entries to prove inclusion of; all by default. */
  readonly inclusion?: number;
  /** File with an earlier checkpoint that must be a beginning. */
  readonly old?: string;
  /** The vkey that it is signed by, if that is another one. */
  readonly oldkey?: string;
  /** File that the checkpoint is kept in. */
  readonly save?: string;
}

/**
 * Reads and checks a whole log with the packages of Go's checksum database; the outcome's code is 0 if all of it holds.
 * @param base URL that `checkpoint` and `tile/` stand below
 */
export async function checkLog(base: string, vkey: string, options: CheckOptions = {}): Promise<Outcome> {
  const flags = Object.entries(options).flatMap(([name, value]) => [`-${name}`, `${value}`]);
  return run(await checker(), [...flags, base, vkey], { cwd: projectRoot, env: {}, timeoutMs: 300_000 });
}
