/**
 * What nobody asked for before: all tarballs of an application, as a frozen install asks for them, and all its packuments,
 * through servers that hold nothing. Their upstream is a replay out of memory, which has made all its answers once before.
 */
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { inParallel } from '../src/io/in-parallel.ts';
import type { ServerProcess } from './child.ts';
import { bodyOf, packumentRequest } from './client.ts';
import { corpusPaths, corpusTarballs } from './corpus.ts';
import { warmRegistry } from './installs.ts';
import { comparedRow, type Row } from './report.ts';
import { startDoor, startOrigin, startVerdaccio } from './servers.ts';
import type { Stage } from './stage.ts';

/** As many as npm asks for at once. */
const CLIENTS = 15;

/** Asks a registry for everything of a kind. */
type Visit = (registry: string) => Promise<void>;

export async function benchCold(stage: Stage): Promise<Row[]> {
  const replay = await stage.replay();
  const [tarballs, packuments] = await visits();
  await packuments.visit(replay.url);
  const rows: Row[] = [];
  for (const { what, visit } of [tarballs, packuments]) rows.push(...(await measure(stage, replay.url, what, visit)));
  return rows;
}

async function visits() {
  const names = (await corpusPaths()).filter((path) => !path.endsWith('.tgz')).map((path) => path.slice(1));
  const tarballs: Visit = (registry) => warmRegistry(registry, CLIENTS);
  const packuments: Visit = (registry) =>
    inParallel(names, CLIENTS, async (name) => {
      const { url, headers } = packumentRequest(registry, name, 'full');
      await bodyOf(await fetch(url, { headers }));
    });
  return [
    { what: `${(await corpusTarballs()).length} tarballs`, visit: tarballs },
    { what: `${names.length} packuments`, visit: packuments },
  ] as const;
}

async function measure(stage: Stage, upstream: string, what: string, visit: Visit): Promise<Row[]> {
  const servers: ServerProcess[] = [];
  const started = async (server: Promise<ServerProcess>) => {
    servers.push(await server);
    return server;
  };
  const folder = () => mkdtemp(join(stage.work, 'cold-'));
  const timed = async ({ url }: ServerProcess) => {
    const start = performance.now();
    await visit(url);
    return (performance.now() - start) / 1000;
  };
  try {
    const verdaccio = await timed(await started(startVerdaccio(await folder(), upstream)));
    const origin = await started(startOrigin(await folder(), upstream));
    const first = await timed(origin);
    const behind = await timed(await started(startDoor(await folder(), origin)));
    const cold = await started(startOrigin(await folder(), upstream));
    const both = await timed(await started(startDoor(await folder(), cold)));
    const row = (how: string, who: string, value: number): Row =>
      comparedRow({
        ...{ work: `${what} that ${how}`, unit: 's', ours: { who, value } },
        ...{ peer: { who: 'Verdaccio', value: verdaccio }, goal: null },
      });
    return [
      row('were never asked for', 'origin', first),
      row('only its origin has', 'door', behind),
      row('neither it nor its origin has', 'door', both),
    ];
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}
