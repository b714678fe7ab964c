/** From the origin's commit to the last of its mirrors serving the checkpoint that covers it. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { LogProcess } from './log-child.ts';
import { type LogStage, startedMirror, startedOrigin } from './log-stage.ts';
import { absoluteRow, percentile, type Row } from './report.ts';

const MS_MAX = 1_000;
/** Packages that are learned at the same time, under load. */
const TOGETHER = 20;

type Made = { readonly url: string; readonly origin: LogProcess; readonly mirrors: readonly LogProcess[] };

/** Changes are what they are in life: a package that is asked for the first time, learned from an upstream on loopback. */
export async function benchLatency({ quick, work, say }: LogStage): Promise<Row[]> {
  const counts = quick ? { mirrors: 3, single: 10, loaded: 100 } : { mirrors: 10, single: 60, loaded: 200 };
  const upstream = await startUpstream();
  const origin = await startedOrigin(join(work, 'latency'), upstream.url);
  const mirrors: LogProcess[] = [];
  try {
    for (let at = 0; at < counts.mirrors; at++) mirrors.push(startedMirror(work, `latency-${at}`, origin.url));
    const made = { url: origin.url, origin, mirrors };
    await settled(made);
    say('single changes');
    const single = await measured(made, () => learnAll(made, 'single', counts.single, 1));
    say('changes under load');
    const loaded = await measured(made, () => learnAll(made, 'loaded', counts.loaded, TOGETHER));
    const who = `${counts.mirrors} mirrors`;
    return [...rowsOf('single change', who, single), ...rowsOf(`${TOGETHER} changes at a time`, who, loaded)];
  } finally {
    await Promise.all(mirrors.map((mirror) => mirror.stop()));
    await origin.stop();
    upstream.close();
  }
}

/** Each mirror's admission is an entry; once all serve all of them, nothing is under way. */
async function settled({ origin, mirrors }: Made): Promise<void> {
  await Promise.all(mirrors.map((mirror) => mirror.until('ready')));
  let admissions = 0;
  await origin.until('committed', () => ++admissions > mirrors.length);
  await allServe(mirrors, sizeOf(origin));
}

function allServe(mirrors: readonly LogProcess[], size: number): Promise<unknown> {
  return Promise.all(mirrors.map((mirror) => mirror.until('served', (served) => served.size >= size)));
}

/** @returns ms for each commit that the work led to, until the last of the mirrors */
async function measured({ origin, mirrors }: Made, work: () => Promise<void>): Promise<number[]> {
  const before = commitsOf(origin).length;
  await work();
  await allServe(mirrors, sizeOf(origin));
  const servings = mirrors.map(({ told }) => told.filter((one) => one.what === 'served'));
  return commitsOf(origin)
    .slice(before)
    .map(({ size, atMs }) => {
      const first = servings.map((served) => served.find((one) => one.size >= size)?.atMs ?? Number.NaN);
      return Math.max(...first) - atMs;
    });
}

function commitsOf({ told }: LogProcess) {
  return told.filter((one) => one.what === 'committed');
}

function sizeOf(origin: LogProcess): number {
  return commitsOf(origin).at(-1)?.size ?? 0;
}

/** One by one: the next change is made once all mirrors serve the one before it. */
async function learnAll(
  { url, origin, mirrors }: Made,
  prefix: string,
  count: number,
  together: number,
): Promise<void> {
  let next = 0;
  const learner = async () => {
    while (next < count) {
      await learn(`${url}/${prefix}-${next++}`);
      if (together === 1) await allServe(mirrors, sizeOf(origin));
    }
  };
  await Promise.all(Array.from({ length: together }, learner));
}

async function learn(url: string): Promise<void> {
  const answer = await fetch(url);
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`${url} was answered with ${answer.status}`);
}

/** Has every package that it is asked for, with one version. */
async function startUpstream(): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    const name = (request.url ?? '').slice(1);
    response.setHeader('content-type', 'application/json').end(JSON.stringify(packument(name)));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = () => void server.close().closeAllConnections();
  return { url, close };
}

function packument(name: string) {
  const version = '1.0.0';
  const dist = {
    integrity: `sha512-${Buffer.alloc(64).toString('base64')}`,
    tarball: `https://registry.example/${name}/-/${name}-${version}.tgz`,
  };
  const time = { [version]: '2020-01-01T00:00:00.000Z' };
  return { name, 'dist-tags': { latest: version }, versions: { [version]: { name, version, dist } }, time };
}

function rowsOf(what: string, who: string, taken: readonly number[]): Row[] {
  const row = (label: string, part: number) =>
    absoluteRow(`${what}, commit to all, ${label}`, 'ms', { who, value: percentile(taken, part) }, { atMost: MS_MAX });
  const count = absoluteRow(what, 'commits seen', { who, value: taken.length }, null);
  return [row('median', 0.5), row('95th percentile', 0.95), row('longest', 1), count];
}
