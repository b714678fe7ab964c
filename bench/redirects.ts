/** Deciding where to send a client, with 1,000 hosts in the rotation: the decision alone, and over HTTP. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clientOf } from '../src/core/clients.ts';
import { makeDoor } from '../src/core/door.ts';
import { sha512Hex } from '../src/core/hash.ts';
import { type PinnedHash, sriOf } from '../src/core/integrity.ts';
import { decideTarball } from '../src/core/redirect.ts';
import { rendezvous } from '../src/core/selection.ts';
import { freePort, type ServerProcess, startServer } from './child.ts';
import { bodyOf, npmRequest } from './client.ts';
import { corpusTarballs, readCorpus } from './corpus.ts';
import { type Load, runLoad, type Target } from './load.ts';
import { madeHosts } from './made-hosts.ts';
import { absoluteRow, comparedRow, median, type Row, skippedRow } from './report.ts';
import type { Stage } from './stage.ts';

const HOSTS = 1000;
const CONNECTIONS = 32;
/** 2.5 times mirrorbits, which answered 21,700 requests a second where nginx answered 90,000 of 20 kB. */
const BESIDE_NGINX = 0.6;
const PER_SECOND_MIN = 54_000;

export async function benchRedirects(stage: Stage): Promise<Row[]> {
  return [decisionAlone(stage), ...(await overHttp(stage))];
}

function decisionAlone(stage: Stage): Row {
  const rounds = stage.quick ? 5 : 25;
  const client = clientOf('npm/12.2.0');
  const asker = {
    door: makeDoor('redirect', 'https://registry.example'),
    requestHostname: 'registry.example',
    authorization: false,
    clientAddress: '192.0.2.7',
    avoided: new Set<string>(),
  };
  const hosts = madeHosts(HOSTS);
  const blobs = Array.from({ length: 500 }, (_, index) => sha512Hex(Buffer.from(`blob ${index}`)));
  const decide = (hex: string) => {
    const pinned: PinnedHash = { algorithm: 'sha512', hex };
    const facts = { client, pinned, pacoteIntegrity: sriOf(pinned), held: true, repeatInBudget: false };
    const settings = { redirectUnverified: [], redirectTrusted: [], redirectNever: [] };
    return decideTarball({ ...asker, ...facts, ...settings, hosts, select: rendezvous });
  };
  for (const blob of blobs) decide(blob);
  const batches = Array.from({ length: rounds }, () => {
    const start = performance.now();
    for (const blob of blobs) decide(blob);
    return (blobs.length * 1000) / (performance.now() - start);
  });
  return absoluteRow(
    `decision alone, ${HOSTS} hosts`,
    'per second',
    { who: 'core', value: median(batches) },
    { atLeast: PER_SECOND_MIN },
  );
}

async function overHttp(stage: Stage): Promise<Row[]> {
  const replay = await stage.replay();
  const [tarball] = await corpusTarballs();
  if (!tarball) throw new Error('the corpus has no tarballs');
  const origin = await startOrigin(stage, replay.url);
  await bodyOf(await fetch(origin.url + tarball.path));
  const target = npmRequest(origin.url, tarball);
  const { status } = await fetch(target.url, { headers: target.headers, redirect: 'manual' });
  if (status !== 302) throw new Error(`${target.url} was answered ${status}, not redirected`);
  const work = `redirect over HTTP, ${HOSTS} hosts`;
  const nginx = await stage.nginx();
  if (!nginx) return [skippedRow(`${work} beside nginx`, 'nginx is not here')];
  await writeFile(join(stage.nginxFiles, 'static'), (await readCorpus(tarball.path)).subarray(0, 20_000));
  const beside = { url: `${nginx.url}/static`, headers: {} };
  const [ours = Number.NaN, theirs = Number.NaN] = await inTurns(stage, [target, beside]);
  const peer = { who: 'nginx, a file', value: theirs };
  return [
    comparedRow({
      work,
      unit: 'requests/s',
      ours: { who: 'origin', value: ours },
      peer,
      goal: { atLeast: BESIDE_NGINX },
    }),
  ];
}

async function startOrigin(stage: Stage, upstream: string): Promise<ServerProcess> {
  const port = await freePort();
  const script = join(import.meta.dirname, 'many-hosts.ts');
  const command = [process.execPath, script, upstream, stage.work, `${port}`];
  const url = `http://127.0.0.1:${port}`;
  const server = await startServer({ name: 'many hosts', command, url, readyPath: '/-/ping', cwd: stage.work });
  stage.atEnd(() => server.stop());
  return server;
}

async function inTurns(stage: Stage, targets: readonly Target[]): Promise<number[]> {
  const runs = targets.map(() => [] as Load[]);
  const options = { seconds: stage.quick ? 1 : 4, connections: CONNECTIONS };
  for (let round = 0; round < (stage.quick ? 1 : 3); round++) {
    for (const [index, target] of targets.entries()) {
      runs[index]?.push(await runLoad(stage.tools.wrk, stage.work, target, options));
    }
  }
  return runs.map((loads) => median(loads.map(({ requestsPerSecond }) => requestsPerSecond)));
}
