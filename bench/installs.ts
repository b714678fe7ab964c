/** Cold installs by npm, timed; and making servers hold what they will be asked for. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inParallel } from '../src/io/in-parallel.ts';
import { described, run } from '../test/support/run.ts';
import { bodyOf, visitMirror } from './client.ts';
import { applicationFiles, type CorpusTarball, corpusTarballs } from './corpus.ts';

/** Room that an install takes, at most. */
export const INSTALL_BYTES_MAX = 2 ** 30;
const INSTALL_MS_MAX = 300_000;
const AT_ONCE = 8;
const preload = pathToFileURL(join(import.meta.dirname, 'from-address.mjs')).href;

export type Install = {
  /** Base URL without a slash at the end. */
  readonly registry: string;
  /** Of the client: a network that was seen a moment ago would be taken for one that a mirror has failed. */
  readonly localAddress: string;
  /** What goes before the command to run it elsewhere. */
  readonly prefix?: readonly string[];
};

/** Seconds that `npm ci` takes with an empty cache. @throws Error with npm's words if it fails */
export async function timedInstall(work: string, { registry, localAddress, prefix = [] }: Install): Promise<number> {
  const folder = await mkdtemp(join(work, 'install-'));
  try {
    const { manifest, lock } = await applicationFiles(registry);
    const project = join(folder, 'project');
    await mkdir(project);
    await writeFile(join(project, 'package.json'), manifest);
    await writeFile(join(project, 'package-lock.json'), lock);
    const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--no-progress', '--loglevel=error'];
    const where = ['--registry', `${registry}/`, '--cache', join(folder, 'cache')];
    const [program = '', ...args] = [...prefix, ...npmCommand(), 'ci', '--ignore-scripts', ...quiet, ...where];
    const from = { NODE_OPTIONS: `--import ${preload}`, BENCH_LOCAL_ADDRESS: localAddress };
    const env = { PATH: process.env.PATH, HOME: folder, ...from };
    const options = { cwd: project, env, timeoutMs: INSTALL_MS_MAX };
    const outcome = await run(program, args, options);
    if (outcome.code !== 0) throw new Error(`npm ci from ${registry} failed: ${described(outcome)}`);
    return outcome.milliseconds / 1000;
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Makes the origin and a mirror of this door hold every tarball; what was sent there a moment ago it holds. */
export async function warmMirror(door: string): Promise<void> {
  await inParallel(await corpusTarballs(), AT_ONCE, async (tarball) => void (await visitMirror(door, tarball)));
}

/** Makes any other registry hold every tarball, asking for so many at once. */
export async function warmRegistry(registry: string, atOnce = AT_ONCE): Promise<void> {
  const fetched = async ({ path }: CorpusTarball) => void (await bodyOf(await fetch(registry + path)));
  await inParallel(await corpusTarballs(), atOnce, fetched);
}

/** The machine's own npm on the Node.js that it belongs to. */
function npmCommand(): string[] {
  const { npm_execpath: script, npm_node_execpath: node } = process.env;
  return script?.endsWith('.js') && node ? [node, script] : ['npm'];
}
