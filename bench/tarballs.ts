/** Tarballs that a server holds: ours, nginx and Verdaccio in turns, so that a disturbance hits all of them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bodyOf, fetchThroughMirror } from './client.ts';
import { type CorpusTarball, corpusTarballs, prepareCorpus, readCorpus } from './corpus.ts';
import { type Load, runLoad, type Target } from './load.ts';
import { absoluteRow, type Bound, comparedRow, median, type Row, skippedRow } from './report.ts';
import type { Stage } from './stage.ts';

type Case = {
  readonly bytes: number;
  readonly unit: 'requests/s' | 'MB/s';
  readonly besideNginx: Bound;
  readonly besideVerdaccio: Bound | null;
};

const CASES: readonly Case[] = [
  { bytes: 20_000, unit: 'requests/s', besideNginx: { atLeast: 0.5 }, besideVerdaccio: { atLeast: 15 } },
  { bytes: 54_000, unit: 'requests/s', besideNginx: { atLeast: 0.5 }, besideVerdaccio: { atLeast: 15 } },
  { bytes: 2_000_000, unit: 'MB/s', besideNginx: { atLeast: 0.7 }, besideVerdaccio: null },
];
const CONNECTIONS = 32;
const P99_MS_MAX = 5;
const MB = 1_000_000;

export async function benchTarballs(stage: Stage): Promise<Row[]> {
  await prepareCorpus(stage.say);
  const rows: Row[] = [];
  for (const one of CASES) rows.push(...(await measure(stage, one)));
  return rows;
}

async function measure(stage: Stage, { bytes, unit, besideNginx, besideVerdaccio }: Case): Promise<Row[]> {
  const { tarball, size } = await nearest(bytes);
  const work = `tarball of ${size < MB ? `${Math.round(size / 1000)} kB` : `${(size / MB).toFixed(1)} MB`}`;
  stage.say(`${work}: ${tarball.path}`);
  const targets = await targetsOf(stage, tarball);
  const figures = await inTurns(stage, targets, unit);
  const ours = { who: 'mirror', value: figures.get('mirror') ?? Number.NaN };
  const beside = (who: string, goal: Bound | null): Row => {
    const value = figures.get(who);
    if (value === undefined) return skippedRow(`${work} beside ${who}`, `${who} is not here`);
    return comparedRow({ work, unit, ours, peer: { who, value }, goal });
  };
  const rows = [beside('nginx', besideNginx), beside('Verdaccio', besideVerdaccio)];
  if (unit === 'requests/s') rows.push(await p99AtHalf(stage, work, targets.get('mirror') as Target, ours.value));
  return rows;
}

async function targetsOf(stage: Stage, tarball: CorpusTarball): Promise<Map<string, Target>> {
  const { origin } = await stage.federation();
  const urls = new Map([['mirror', await fetchThroughMirror(origin.url, tarball)]]);
  const nginx = await stage.nginx();
  if (nginx) {
    const file = tarball.path.split('/').at(-1) ?? '';
    await writeFile(join(stage.nginxFiles, file), await readCorpus(tarball.path));
    urls.set('nginx', `${nginx.url}/${file}`);
  }
  urls.set('Verdaccio', (await stage.verdaccio()).url + tarball.path);
  const right = await readCorpus(tarball.path);
  for (const [who, url] of urls) {
    if (!right.equals(await bodyOf(await fetch(url)))) throw new Error(`${who} serves other bytes at ${url}`);
  }
  return new Map([...urls].map(([who, url]) => [who, { url, headers: {} }]));
}

async function inTurns(stage: Stage, targets: Map<string, Target>, unit: Case['unit']): Promise<Map<string, number>> {
  const seconds = stage.quick ? 1 : 4;
  const rounds = stage.quick ? 1 : 3;
  const loads = new Map([...targets.keys()].map((who) => [who, [] as Load[]]));
  for (let round = 0; round < rounds; round++) {
    for (const [who, target] of targets) {
      const load = await runLoad(stage.tools.wrk, stage.work, target, { seconds, connections: CONNECTIONS });
      loads.get(who)?.push(load);
    }
  }
  const figure = (load: Load) => (unit === 'MB/s' ? load.bytesPerSecond / MB : load.requestsPerSecond);
  return new Map([...loads].map(([who, runs]) => [who, median(runs.map(figure))]));
}

/** Each connection pauses so long that all of them together ask for half of what the server can do. */
async function p99AtHalf(stage: Stage, work: string, target: Target, perSecond: number): Promise<Row> {
  const pauseMs = Math.max(1, Math.round((CONNECTIONS * 1000) / (perSecond / 2)));
  const options = { seconds: stage.quick ? 2 : 5, connections: CONNECTIONS, pauseMs };
  const load = await runLoad(stage.tools.wrk, stage.work, target, options);
  const share = Math.round((100 * load.requestsPerSecond) / perSecond);
  const ours = { who: 'mirror', value: load.p99Ms };
  return absoluteRow(`${work}, 99th percentile at ${share} % load`, 'ms', ours, { atMost: P99_MS_MAX });
}

async function nearest(bytes: number): Promise<{ tarball: CorpusTarball; size: number }> {
  const sized = (await corpusTarballs()).map(async (tarball) => ({
    tarball,
    size: (await readCorpus(tarball.path)).length,
  }));
  const distance = ({ size }: { size: number }) => Math.abs(size - bytes);
  const [first] = (await Promise.all(sized)).sort((a, b) => distance(a) - distance(b));
  if (!first) throw new Error('the corpus has no tarballs');
  return first;
}
