/** A cold `npm ci` where the origin is far away, the upstream nearer and mirrors close by. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { described, run } from '../test/support/run.ts';
import type { ServerProcess } from './child.ts';
import { prepareCorpus } from './corpus.ts';
import { timedInstall } from './installs.ts';
import { type Distance, makeWire, NoWireError, type Wire } from './namespaces.ts';
import { comparedRow, type Row, skippedRow } from './report.ts';
import { type Place, startDoor, startMirror, startOrigin, startReplay } from './servers.ts';
import type { Stage } from './stage.ts';

const ORIGIN = { host: '10.77.0.1', ms: 100 };
const MIRROR = { host: '10.77.0.2', ms: 10 };
const UPSTREAM = { host: '10.77.0.3', ms: 40 };
/** An organisation's own mirror. */
const OWN = { host: '10.77.0.4', ms: 10 };
const PLACES: readonly Distance[] = [ORIGIN, MIRROR, UPSTREAM, OWN];
const SCENE = `origin ${ORIGIN.ms} ms, mirrors ${MIRROR.ms} ms, upstream ${UPSTREAM.ms} ms`;
const WORK = `cold npm ci at a distance (${SCENE})`;
const FASTER_THAN_DIRECT = { atMost: 1 };
const SCRIPT_MS_MAX = 120_000;
/** By which a connect may differ from the wire on a machine that does something else too. */
const SLACK_MS = 4;

/** Base URLs that a client could be told. */
type Registries = { readonly upstream: string; readonly door: string; readonly own: string };

export async function benchDistance(stage: Stage): Promise<Row[]> {
  await prepareCorpus(stage.say);
  const rounds = stage.quick ? 1 : 3;
  const clients = Array.from({ length: rounds }, (_, round) => `10.77.${round + 1}.1`);
  try {
    const wire = await makeWire(stage.tools, PLACES, clients);
    stage.atEnd(() => wire.remove());
    stage.say(`distance: delayed by ${wire.delayedBy}`);
    return await measure(stage, wire, clients);
  } catch (error) {
    if (error instanceof NoWireError) return [skippedRow(WORK, error.message)];
    throw error;
  }
}

async function measure(stage: Stage, wire: Wire, clients: readonly string[]): Promise<Row[]> {
  const work = join(stage.work, 'distance');
  await mkdir(work);
  const registries = await startServers(stage, wire, work);
  const seconds = { upstream: [] as number[], door: [] as number[], own: [] as number[] };
  for (const localAddress of clients) {
    for (const name of ['upstream', 'door', 'own'] as const) {
      const install = { registry: registries[name], localAddress, prefix: wire.atClient };
      const taken = await timedInstall(work, install);
      stage.say(`distance: ${name} ${taken.toFixed(1)} s`);
      seconds[name].push(taken);
    }
  }
  const peer = { who: 'direct', value: Math.min(...seconds.upstream) };
  const compare = (how: string, who: 'door' | 'own', shown: string) => {
    const ours = { who: shown, value: Math.min(...seconds[who]) };
    return comparedRow({ work: `${WORK}, ${how}`, unit: 's', ours, peer, goal: FASTER_THAN_DIRECT });
  };
  return [compare('by redirects', 'door', 'origin'), compare("a mirror's own door", 'own', 'mirror')];
}

async function startServers(stage: Stage, wire: Wire, work: string): Promise<Registries> {
  const place = ({ host }: Distance): Place => ({ host, prefix: wire.atServers });
  const kept = async (starting: Promise<ServerProcess>) => {
    const server = await starting;
    stage.atEnd(() => server.stop());
    return server;
  };
  const replay = await kept(startReplay(work, place(UPSTREAM)));
  const origin = await kept(startOrigin(work, replay.url, place(ORIGIN)));
  await warm(wire, 'origin', origin.url);
  const mirror = await kept(startMirror(work, origin, place(MIRROR)));
  await warm(wire, 'mirror', origin.url);
  const own = await kept(startDoor(work, origin, place(OWN)));
  await warm(wire, 'origin', own.url);
  const urls = [origin, mirror, replay, own].map(({ url }) => url);
  stage.say(`distance: round trips of ${(await roundTrips(wire, urls)).join(', ')} ms`);
  return { door: origin.url, upstream: replay.url, own: own.url };
}

/** Among the servers, where nothing is delayed. */
async function warm(wire: Wire, what: 'origin' | 'mirror', door: string): Promise<void> {
  await told(wire.atServers, ['warm.ts', what, door]);
}

/** What connects from the client to the servers at {@link PLACES} take, ms. @throws Error unless it is what they should */
async function roundTrips(wire: Wire, urls: readonly string[]): Promise<number[]> {
  const found: number[] = JSON.parse(await told(wire.atClient, ['round-trips.ts', ...urls]));
  const isWrong = ({ ms }: Distance, index: number) => !(Math.abs((found[index] ?? Number.NaN) - ms) <= SLACK_MS);
  if (PLACES.some(isWrong)) throw new Error(`the round trips to ${urls} should not take ${found} ms`);
  return found;
}

/** What one of the scripts beside this one prints. @throws Error if it fails */
async function told([program = '', ...prefix]: readonly string[], [script = '', ...args]: string[]): Promise<string> {
  const command = [...prefix, process.execPath, join(import.meta.dirname, script), ...args];
  const outcome = await run(program, command, { cwd: '/', env: process.env, timeoutMs: SCRIPT_MS_MAX });
  if (outcome.code !== 0) throw new Error(described(outcome));
  return outcome.stdout;
}
