/** Real packages to measure with: an application of several hundred, fetched once through npm and kept. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import cacache from 'cacache';
import { capturedBase } from '../test/support/capture.ts';
import { cacheRoot } from '../test/support/folders.ts';
import { npm } from '../test/support/npm.ts';
import { described } from '../test/support/run.ts';

/** Where the benchmark keeps what it fetches. */
export const benchRoot = join(cacheRoot, 'bench');

const folder = join(benchRoot, 'corpus');
const requestKey = 'make-fetch-happen:request-cache:';

/** What many JavaScript projects are made of. */
const manifest = {
  name: 'benchmark-application',
  version: '1.0.0',
  private: true,
  dependencies: {
    '@babel/core': '7.26.0',
    '@babel/preset-env': '7.26.0',
    eslint: '8.57.1',
    express: '4.21.2',
    jest: '29.7.0',
    'playwright-core': '1.49.1',
    react: '18.3.1',
    'react-dom': '18.3.1',
    webpack: '5.97.1',
    'webpack-cli': '5.1.4',
  },
};

/** A tarball that the application needs. */
export type CorpusTarball = { readonly name: string; readonly path: string; readonly integrity: string };

/** Fetches the packages unless they are there. @throws Error with npm's words if that fails */
export async function prepareCorpus(say: (line: string) => void): Promise<void> {
  if (existsSync(folder)) return;
  say('fetching the packages to measure with, once, through npm');
  await mkdir(benchRoot, { recursive: true });
  const work = await mkdtemp(join(benchRoot, 'fetch-'));
  try {
    await capture(work);
    await rename(join(work, 'corpus'), folder);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The application's package.json, and its lockfile with tarballs at this registry. */
export async function applicationFiles(registry: string): Promise<{ manifest: string; lock: string }> {
  const lock = await readFile(join(folder, 'lock.json'), 'utf8');
  return { manifest: JSON.stringify(manifest), lock: lock.replaceAll(capturedBase, `${registry}/`) };
}

/** Every tarball of the lockfile. */
export async function corpusTarballs(): Promise<CorpusTarball[]> {
  const lock = JSON.parse(await readFile(join(folder, 'lock.json'), 'utf8'));
  const entries = Object.entries<{ resolved?: string; integrity?: string; name?: string }>(lock.packages);
  const tarballs = entries.map(([place, { resolved = '', integrity = '', name }]) => ({
    name: name ?? place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length),
    path: resolved.slice(capturedBase.length - 1),
    integrity,
  }));
  const held = new Set(await corpusPaths());
  return [...new Map(tarballs.filter(({ path }) => held.has(path)).map((tarball) => [tarball.path, tarball])).values()];
}

/** Paths of everything that was fetched, such as `/express` and `/express/-/express-4.21.2.tgz`. */
export async function corpusPaths(): Promise<string[]> {
  return (await readdir(join(folder, 'files'))).map((name) => `/${decodeURIComponent(name)}`);
}

/** What the registry answered; tarball URLs start with {@link capturedBase}. */
export function readCorpus(path: string): Promise<Buffer> {
  return readFile(join(folder, 'files', encodeURIComponent(path.slice(1))));
}

async function capture(work: string): Promise<void> {
  const project = join(work, 'project');
  await mkdir(project);
  await mkdir(join(work, 'corpus', 'files'), { recursive: true });
  await writeFile(join(project, 'package.json'), JSON.stringify(manifest));
  // A lockfile with URLs, as most projects have it, whatever the user's own settings say.
  const flags = ['--ignore-scripts', '--omit-lockfile-registry-resolved=false', '--cache', join(work, 'cache')];
  const outcome = await npm(['install', ...flags], project);
  if (outcome.code !== 0) throw new Error(`the packages could not be fetched: ${described(outcome)}`);
  const asked = await npm(['config', 'get', 'registry'], project);
  const registry = asked.stdout.trim().replace(/\/*$/, '/');
  const lock = await readFile(join(project, 'package-lock.json'), 'utf8');
  await writeFile(join(work, 'corpus', 'lock.json'), lock.replaceAll(registry, capturedBase));
  await keepResponses(join(work, 'cache', '_cacache'), join(work, 'corpus', 'files'), registry);
}

async function keepResponses(cache: string, files: string, registry: string): Promise<void> {
  for (const key of Object.keys(await cacache.ls(cache))) {
    if (!key.startsWith(requestKey + registry)) continue;
    const { data } = await cacache.get(cache, key);
    const path = decodeURIComponent(key.slice((requestKey + registry).length));
    if (path.startsWith('-/')) continue;
    const isTarball = basename(path).endsWith('.tgz');
    const kept = isTarball ? data : Buffer.from(data.toString().replaceAll(registry, capturedBase));
    await writeFile(join(files, encodeURIComponent(path)), kept);
  }
}
