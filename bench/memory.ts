/**
 * Resident memory: of an origin that has just learned a large application, of the same after a restart, and of every server
 * after what the other benchmarks of this run did to it.
 */
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { inParallel } from '../src/io/in-parallel.ts';
import type { ServerProcess } from './child.ts';
import { bodyOf, packumentRequest } from './client.ts';
import { corpusPaths } from './corpus.ts';
import { timedInstall } from './installs.ts';
import { absoluteRow, type Row, skippedRow } from './report.ts';
import { startOrigin } from './servers.ts';
import type { Stage } from './stage.ts';

const MB_MAX = 150;
const OURS = new Set(['origin', 'mirror']);
const CLIENTS = 12;
/** A network of its own: one that was seen a moment ago would be taken for one that a mirror has failed. */
const CLIENT_ADDRESS = '127.0.9.1';

export async function benchMemory(stage: Stage): Promise<Row[]> {
  const learned = await benchLearned(stage);
  await stage.federation();
  await stage.nginx();
  await stage.verdaccio();
  const servers = await stage.running();
  return [...learned, ...(await Promise.all(servers.map((server) => rowOf('memory after load', server))))];
}

async function benchLearned(stage: Stage): Promise<Row[]> {
  const work = await mkdtemp(join(stage.work, 'memory-'));
  const { url } = await stage.replay();
  const serving = async (what: string, task: (door: string) => Promise<unknown>): Promise<Row> => {
    const origin = await startOrigin(work, url);
    try {
      await task(origin.url);
      await serve(origin.url, stage.quick ? 5 : 30);
      return await rowOf(`memory of ${what}, then serving`, origin);
    } finally {
      await origin.stop();
    }
  };
  const paths = await corpusPaths();
  const names = paths.filter((path) => !path.endsWith('.tgz')).length;
  const learn = async (door: string): Promise<void> => {
    await askForAll(door, Number.POSITIVE_INFINITY);
    await timedInstall(stage.work, { registry: door, localAddress: CLIENT_ADDRESS });
  };
  const cold = await serving(`an origin that learned ${names} packages`, learn);
  return [cold, await serving('the same after a restart', async () => undefined)];
}

/** Asks for everything again and again. */
async function serve(door: string, seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) await askForAll(door, end);
}

/** Every packument and every tarball once, as far as there is time until `end`. */
async function askForAll(door: string, end: number): Promise<void> {
  await inParallel(await corpusPaths(), CLIENTS, async (path) => {
    if (performance.now() > end) return;
    const { url, headers } = packumentRequest(door, path.slice(1), 'abbreviated');
    await bodyOf(await fetch(url, path.endsWith('.tgz') ? {} : { headers }));
  });
}

async function rowOf(work: string, { name, memoryMb }: Pick<ServerProcess, 'name' | 'memoryMb'>): Promise<Row> {
  const value = await memoryMb();
  if (Number.isNaN(value)) return skippedRow(`${work}: ${name}`, 'this system does not tell');
  return absoluteRow(work, 'MB', { who: name, value }, OURS.has(name) ? { atMost: MB_MAX } : null);
}
