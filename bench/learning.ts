/**
 * How long a real origin keeps others waiting while it learns a large packument, and how much memory that takes.
 *
 *     node bench/learning.ts               40 MB in 5,000 versions
 *     node bench/learning.ts 12 30000      12 MB in 30,000 versions
 *
 * The origin has this process to itself; its upstream and its client are another one. A stall is what the event loop's
 * delay says beyond its resolution: the longest time that nothing else could have been answered. On a machine that does
 * other work, too, waiting for a processor is part of it; "computing" is the most that one turn of the loop computed.
 */

import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { gzipSync } from 'node:zlib';
import { rendezvous } from '../src/core/selection.ts';
import { createLogger } from '../src/io/logger.ts';
import { startOrigin } from '../src/origin/service.ts';

const MB = 1_000_000;
const RESOLUTION_MS = 1;
const NAME = 'large';

const size = Number(process.argv[2] ?? 40) * MB;
const versions = Number(process.argv[3] ?? 5_000);

if (process.send) await beOthers(process.send.bind(process));
else await beOrigin();

/** Learns it anew, finds it unchanged, and finds one of its versions deprecated. */
async function beOrigin(): Promise<void> {
  const others = fork(import.meta.filename, process.argv.slice(2));
  const [upstream] = await once(others, 'message');
  const data = await mkdtemp(join(tmpdir(), 'learning-'));
  const origin = await startOrigin(configOf(data, `${upstream}`), {
    logger: createLogger({ role: 'origin', level: 'silent', write: () => undefined }),
    version: '0.0.0',
    select: rendezvous,
    defaultUpstream: '',
  });
  console.log(`${size / MB} MB in ${versions} versions; ${rssMb()} MB resident before`);
  for (const [what, revision] of [
    ['learned', 0],
    ['unchanged', 0],
    ['changed', 1],
  ] as const) {
    const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    delay.enable();
    const computed = longestTurn();
    others.send({ url: `http://127.0.0.1:${origin.port}/${NAME}`, revision });
    const [ms] = await once(others, 'message');
    delay.disable();
    const longest = (delay.max / 1e6 - RESOLUTION_MS).toFixed(0);
    const computing = computed().toFixed(0);
    console.log(`${what}: ${ms} ms, longest stall ${longest} ms, computing ${computing} ms, ${peakMb()} MB at most`);
  }
  others.disconnect();
  await origin.close();
  await rm(data, { recursive: true });
}

/** The upstream, and a client that takes the packument compressed and says how many ms that took. */
async function beOthers(send: (message: unknown) => void): Promise<void> {
  const bodies = [0, 1].map((revision) => gzipSync(packument(revision), { level: 1 }));
  let body = bodies[0];
  const server = createServer((request, response) => {
    if (request.url !== `/${NAME}`) return response.writeHead(404).end('{}');
    return response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(body);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  process.on('message', ({ url, revision }: { url: string; revision: number }) => {
    body = bodies[revision];
    const start = performance.now();
    get(url, { headers: { 'accept-encoding': 'gzip' } }, (answer) => {
      if (answer.statusCode !== 200) throw new Error(`the origin answered ${answer.statusCode}`);
      answer.resume().on('end', () => send(Math.round(performance.now() - start)));
    });
  });
  process.on('disconnect', () => process.exit());
  send(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

function packument(revision: number): Buffer {
  const description = 'x'.repeat(Math.max(0, Math.round(size / versions) - 400));
  const members = Array.from({ length: versions }, (_, at) => {
    const version = `1.0.${at}`;
    const integrity = `sha512-${createHash('sha512').update(version).digest('base64')}`;
    const dist = { integrity, tarball: `https://registry.example/${NAME}/-/${NAME}-${version}.tgz` };
    const deprecated = revision > 0 && at === versions - 1 ? { deprecated: 'use the next one' } : {};
    return [version, { name: NAME, version, description, dependencies: { a: '1', b: '2' }, dist, ...deprecated }];
  });
  const time = Object.fromEntries(members.map(([version]) => [version, '2020-01-01T00:00:00.000Z']));
  const latest = `1.0.${versions - 1}`;
  return Buffer.from(
    JSON.stringify({ name: NAME, 'dist-tags': { latest }, versions: Object.fromEntries(members), time }),
  );
}

function configOf(data: string, upstream: string): Parameters<typeof startOrigin>[0] {
  return {
    ...{ data, upstream, port: 0, host: '127.0.0.1', doors: [], trustProxy: [], neverAsk: [], upstreamTarballs: [] },
    ...{ allowPrivate: true, freshnessMs: 0 },
    ...{ redirectUnverified: [], trustedHosts: [], redirectTrusted: [], redirectNever: [] },
  };
}

/** Starts to look at every turn; what it returns ends that, and says how many ms this thread computed in the longest. */
function longestTurn(): () => number {
  let before = process.threadCpuUsage();
  let longest = 0;
  const look = () => {
    const now = process.threadCpuUsage();
    longest = Math.max(longest, now.user + now.system - before.user - before.system);
    before = now;
  };
  const timer = setInterval(look, 1);
  return () => {
    clearInterval(timer);
    return longest / 1_000;
  };
}

function rssMb(): number {
  return Math.round(process.memoryUsage.rss() / MB);
}

function peakMb(): number {
  return Math.round((process.resourceUsage().maxRSS * 1024) / MB);
}
