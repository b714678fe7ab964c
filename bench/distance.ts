/** A cold `npm ci` where the origin is far away, the upstream nearer and mirrors close by. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { described, run } from '../test/support/run.ts';
import type { ServerProcess } from './child.ts';
import { prepareCorpus } from './corpus.ts';
import type { Fetched } from './fetch-all.ts';
import { INSTALL_BYTES_MAX, timedInstall } from './installs.ts';
import { memoryFolder } from './memory-folder.ts';
import { type Distance, makeWire, NoWireError, type Wire } from './namespaces.ts';
import { type Bound, comparedRow, type Row, skippedRow } from './report.ts';
import { type Place, startDoor, startMirror, startOrigin, startReplay } from './servers.ts';
import type { Stage } from './stage.ts';

const ORIGIN = { host: '10.77.0.1', ms: 100 };
const MIRROR = { host: '10.77.0.2', ms: 10 };
const UPSTREAM = { host: '10.77.0.3', ms: 40 };
/** An organisation's own mirror. */
const OWN = { host: '10.77.0.4', ms: 10 };
const PLACES: readonly Distance[] = [ORIGIN, MIRROR, UPSTREAM, OWN];
const SCENE = ` (origin ${ORIGIN.ms} ms, mirrors ${MIRROR.ms} ms, upstream ${UPSTREAM.ms} ms)`;
const FASTER_THAN_DIRECT = { atMost: 1 };
const REDIRECTED_MIN = 0.9;
const SCRIPT_MS_MAX = 120_000;
/** By which a connect may differ from the wire on a machine that does something else too. */
const SLACK_MS = 4;

/** Base URLs that a client could be told: the upstream's, the origin's, and that of an organisation's own mirror. */
type Registries = { readonly direct: string; readonly origin: string; readonly mirror: string };

/** Seconds of each round. */
type Times = Readonly<Record<keyof Registries, number[]>>;

type Measure = (registry: string, localAddress: string) => Promise<number>;

/** Addresses of the client. A network that asks for the same again would be taken for one that a mirror has failed. */
type Clients = { readonly installing: readonly string[]; readonly fetching: readonly string[] };

export async function benchDistance(stage: Stage): Promise<Row[]> {
  await prepareCorpus(stage.say);
  const rounds = stage.quick ? 1 : 3;
  const clients = { installing: addresses(1, rounds), fetching: addresses(2, rounds) };
  try {
    const wire = await makeWire(stage.tools, PLACES, [...clients.installing, ...clients.fetching]);
    stage.atEnd(() => wire.remove());
    stage.say(`distance: delayed by ${wire.delayedBy}`);
    return await measure(stage, wire, clients);
  } catch (error) {
    if (error instanceof NoWireError) return [skippedRow(`cold npm ci${SCENE}`, error.message)];
    throw error;
  }
}

async function measure(stage: Stage, wire: Wire, { installing, fetching }: Clients): Promise<Row[]> {
  const work = join(stage.work, 'distance');
  await mkdir(work);
  const registries = await startServers(stage, wire, work);
  // Writing thousands of files to a disk takes longer than all the distance, and never the same time twice.
  const projects = await memoryFolder(stage, INSTALL_BYTES_MAX);
  const install: Measure = (registry, localAddress) =>
    timedInstall(projects, { registry, localAddress, prefix: wire.atClient });
  const fetch: Measure = (registry, localAddress) =>
    timedFetches(wire, registry, localAddress, registry === registries.origin);
  const installs = await inTurns(stage, 'npm ci', registries, installing, install);
  const fetches = await inTurns(stage, 'fetches alone', registries, fetching, fetch);
  return [
    ...compared(`cold npm ci${SCENE}`, installs, FASTER_THAN_DIRECT),
    ...compared('its fetches alone, as far away', fetches),
  ];
}

function addresses(kind: number, rounds: number): string[] {
  return Array.from({ length: rounds }, (_, round) => `10.77.${kind * 100 + round}.1`);
}

async function inTurns(
  stage: Stage,
  what: string,
  registries: Registries,
  clients: readonly string[],
  measure: Measure,
): Promise<Times> {
  const times: Times = { direct: [], origin: [], mirror: [] };
  for (const localAddress of clients) {
    for (const name of ['direct', 'origin', 'mirror'] as const) {
      const seconds = await measure(registries[name], localAddress);
      stage.say(`distance: ${what}, ${name} ${seconds.toFixed(1)} s`);
      times[name].push(seconds);
    }
  }
  return times;
}

/** The fastest of each counts: whatever else the machine does only adds to them. */
function compared(work: string, times: Times, goal: Bound | null = null): Row[] {
  const figure = (who: keyof Registries) => ({ who, value: Math.min(...times[who]) });
  const row = (who: 'origin' | 'mirror', how: string) =>
    comparedRow({ work: `${work}, ${how}`, unit: 's', ours: figure(who), peer: figure('direct'), goal });
  return [row('origin', 'by redirects'), row('mirror', "a mirror's own door")];
}

/** The network's part alone. @throws Error if an origin's bytes would be measured in place of a mirror's */
async function timedFetches(wire: Wire, registry: string, localAddress: string, redirects: boolean): Promise<number> {
  const fetched: Fetched = JSON.parse(await told(wire.atClient, ['fetch-all.ts', registry, localAddress]));
  const { seconds, tarballs, redirected } = fetched;
  if (redirects && redirected < tarballs * REDIRECTED_MIN)
    throw new Error(`only ${redirected} of ${tarballs} tarballs came from the mirror`);
  return seconds;
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
  return { direct: replay.url, origin: origin.url, mirror: own.url };
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
