/** A cold `npm ci` where the origin is far away, the upstream nearer and a mirror close by. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { described, run } from '../test/support/run.ts';
import { prepareCorpus } from './corpus.ts';
import { timedInstall } from './installs.ts';
import { makeWire, NoNamespacesError, type Wire } from './namespaces.ts';
import { comparedRow, type Row, skippedRow } from './report.ts';
import { type Place, startMirror, startOrigin, startReplay } from './servers.ts';
import type { Stage } from './stage.ts';

const ORIGIN = { host: '10.77.0.1', ms: 100 };
const MIRROR = { host: '10.77.0.2', ms: 10 };
const UPSTREAM = { host: '10.77.0.3', ms: 40 };
const WORK = `cold npm ci at a distance (origin ${ORIGIN.ms} ms, mirror ${MIRROR.ms} ms, upstream ${UPSTREAM.ms} ms)`;
const WARM_MS_MAX = 120_000;

export async function benchDistance(stage: Stage): Promise<Row[]> {
  await prepareCorpus(stage.say);
  const rounds = stage.quick ? 1 : 3;
  const clients = Array.from({ length: rounds }, (_, round) => `10.77.${round + 1}.1`);
  try {
    const wire = await makeWire(stage.tools, [ORIGIN, MIRROR, UPSTREAM], clients);
    stage.atEnd(() => wire.remove());
    return [await measure(stage, wire, clients)];
  } catch (error) {
    if (error instanceof NoNamespacesError) return [skippedRow(WORK, error.message)];
    throw error;
  }
}

async function measure(stage: Stage, wire: Wire, clients: readonly string[]): Promise<Row> {
  const work = join(stage.work, 'distance');
  await mkdir(work);
  const { door, upstream } = await startServers(stage, wire, work);
  const [ours, direct]: [number[], number[]] = [[], []];
  for (const localAddress of clients) {
    const install = (registry: string) => timedInstall(work, { registry, localAddress, prefix: wire.atClient });
    direct.push(await install(upstream));
    ours.push(await install(door));
    stage.say(`distance: direct ${direct.at(-1)?.toFixed(1)} s, door ${ours.at(-1)?.toFixed(1)} s`);
  }
  const peer = { who: 'direct', value: Math.min(...direct) };
  return comparedRow({
    work: WORK,
    unit: 's',
    ours: { who: 'door', value: Math.min(...ours) },
    peer,
    goal: { atMost: 1 },
  });
}

async function startServers(stage: Stage, wire: Wire, work: string): Promise<{ door: string; upstream: string }> {
  const place = ({ host }: { host: string }): Place => ({ host, prefix: wire.atServers });
  const replay = await startReplay(work, place(UPSTREAM));
  stage.atEnd(() => replay.stop());
  const origin = await startOrigin(work, replay.url, place(ORIGIN));
  stage.atEnd(() => origin.stop());
  await warm(wire, 'origin', origin.url, work);
  const mirror = await startMirror(work, origin, place(MIRROR));
  stage.atEnd(() => mirror.stop());
  await warm(wire, 'mirror', origin.url, work);
  return { door: origin.url, upstream: replay.url };
}

/** Among the servers, where nothing is delayed. */
async function warm(wire: Wire, what: 'origin' | 'mirror', door: string, work: string): Promise<void> {
  const [program = '', ...prefix] = wire.atServers;
  const args = [...prefix, process.execPath, join(import.meta.dirname, 'warm.ts'), what, door];
  const options = { cwd: work, env: process.env, timeoutMs: WARM_MS_MAX };
  const outcome = await run(program, args, options);
  if (outcome.code !== 0) throw new Error(`the ${what} could not be warmed: ${described(outcome)}`);
}
