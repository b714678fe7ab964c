/** The servers that are measured: an origin with a mirror, and what a user would take instead. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { callAdmin } from '../src/io/admin-socket.ts';
import { cacheRoot, projectRoot } from '../test/support/folders.ts';
import { npm } from '../test/support/npm.ts';
import { described } from '../test/support/run.ts';
import { until } from '../test/support/until.ts';
import { freePort, type ServerProcess, startServer } from './child.ts';
import { benchRoot } from './corpus.ts';

/** Where a server runs: its address, and what goes before its command to get it there. */
export type Place = { readonly host: string; readonly prefix: readonly string[] };

export const LOOPBACK: Place = { host: '127.0.0.1', prefix: [] };

export type Federation = { readonly origin: ServerProcess; readonly mirror: ServerProcess };

const node = process.execPath;
/** As `npm start` has it: V8's young generation and glibc's heaps would take more than they are worth. */
const program = [node, '--max-semi-space-size=8', join(projectRoot, 'src/cli/main.ts')];
const JOIN_MS_MAX = 30_000;
const LOOK_MS = 50;

/** A registry of the fetched packages, out of memory. */
export async function startReplay(work: string, place: Place = LOOPBACK): Promise<ServerProcess> {
  const port = await freePort();
  const script = join(import.meta.dirname, 'replay.ts');
  return startAt(place, 'replay', work, port, [node, script, place.host, `${port}`], '/-/ping', /^ready/m);
}

/** An origin of our own that follows `upstream`, with data in `work`; started again there, it finds its data. */
export async function startOrigin(work: string, upstream: string, place: Place = LOOPBACK): Promise<ServerProcess> {
  const port = await freePort();
  const data = join(work, 'origin');
  const flags = ['--data', data, '--port', `${port}`, '--host', place.host, '--upstream', upstream, '--allow-private'];
  const more = ['--freshness', '86400', '--log-level', 'warn'];
  // Loopback has doors of its own; one that was configured would keep mirrors off that address.
  const door = place.prefix.length > 0 ? ['--door', `redirect=http://${place.host}:${port}`] : [];
  const command = [...program, 'origin', ...flags, ...more, ...door];
  return startAt(place, 'origin', work, port, command, '/-/ping', /^verifier key/m);
}

/** A mirror of our own, applied for and approved, once clients are sent there. */
export async function startMirror(
  work: string,
  origin: ServerProcess,
  place: Place = LOOPBACK,
): Promise<ServerProcess> {
  const port = await freePort();
  const flags = [...(await originFlags(origin)), '--data', join(work, 'mirror'), '--log-level', 'warn'];
  const command = [...program, 'mirror', ...flags, '--port', `${port}`, '--host', place.host];
  const mirror = await startAt(place, 'mirror', work, port, command, '/-/ping', /^host id/m);
  try {
    await joined(join(work, 'origin'));
  } catch (error) {
    await mirror.stop();
    throw new Error(`${(error as Error).message}; it printed: ${mirror.output()}`, { cause: error });
  }
  return mirror;
}

/** A mirror of our own that keeps an organisation's door, in front of `origin`. */
export async function startDoor(work: string, origin: ServerProcess, place: Place = LOOPBACK): Promise<ServerProcess> {
  const port = await freePort();
  const flags = [...(await originFlags(origin)), '--data', join(work, 'door'), '--log-level', 'error'];
  const door = ['--door', `http://${place.host}:${port}`, '--freshness', '86400'];
  const command = [...program, 'mirror', ...flags, ...door, '--port', `${port}`, '--host', place.host];
  return startAt(place, 'door', work, port, command, '/-/ping', /^registry/m);
}

/** It may answer a moment before it prints its key. */
async function originFlags({ name, url, output }: ServerProcess): Promise<string[]> {
  const key = await until(`${name} prints its verifier key`, () => /^verifier key\s+(\S+)/m.exec(output())?.[1]);
  return ['--origin', url, '--origin-key', key];
}

/** nginx with one worker, on a folder of files. */
export async function startNginx(work: string, nginx: string, files: string): Promise<ServerProcess> {
  const port = await freePort();
  const prefix = join(work, 'nginx');
  await mkdir(prefix, { recursive: true });
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const config = `${user} worker_processes 1; daemon off; pid ${prefix}/nginx.pid; error_log ${prefix}/error.log;
    events { worker_connections 1024; }
    http {
      access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type application/octet-stream;
      client_body_temp_path ${prefix}/body; proxy_temp_path ${prefix}/proxy; fastcgi_temp_path ${prefix}/fastcgi;
      uwsgi_temp_path ${prefix}/uwsgi; scgi_temp_path ${prefix}/scgi;
      server { listen 127.0.0.1:${port}; root ${files}; }
    }`;
  await writeFile(join(prefix, 'nginx.conf'), config);
  await writeFile(join(files, 'ready'), '');
  const command = [nginx, '-p', prefix, '-c', join(prefix, 'nginx.conf'), '-e', join(prefix, 'error.log')];
  return startAt(LOOPBACK, 'nginx', work, port, command, '/ready');
}

/** Verdaccio with `upstream` as its uplink; what it fetched once it keeps. */
export async function startVerdaccio(work: string, upstream: string): Promise<ServerProcess> {
  const port = await freePort();
  const folder = join(work, 'verdaccio');
  await mkdir(folder, { recursive: true });
  const config = {
    storage: join(folder, 'storage'),
    auth: { htpasswd: { file: join(folder, 'htpasswd') } },
    uplinks: { replay: { url: `${upstream}/`, maxage: '365d', timeout: '60s', max_fails: 100, fail_timeout: '1s' } },
    packages: { '**': { access: '$all', proxy: 'replay' } },
    web: { enable: false },
    log: { type: 'stdout', format: 'json', level: 'error' },
  };
  // JSON is YAML.
  await writeFile(join(folder, 'config.yaml'), JSON.stringify(config));
  const script = join(verdaccioFolder, 'node_modules/verdaccio/bin/verdaccio');
  const flags = ['--config', join(folder, 'config.yaml'), '--listen', `127.0.0.1:${port}`];
  return startAt(LOOPBACK, 'Verdaccio', folder, port, [node, script, ...flags], '/-/ping');
}

const verdaccioFolder = join(benchRoot, 'verdaccio');

/** Fetches Verdaccio through npm into a folder of its own, unless it is there. @throws Error with npm's words */
export async function prepareVerdaccio(say: (line: string) => void): Promise<void> {
  if (existsSync(verdaccioFolder)) return;
  say('fetching Verdaccio, once, through npm');
  await mkdir(benchRoot, { recursive: true });
  const staging = await mkdtemp(join(benchRoot, 'fetch-'));
  // The node-fetch that it asks for can't be had everywhere; any 2.x does.
  const manifest = { private: true, dependencies: { verdaccio: '6' }, overrides: { 'node-fetch': '2.7.0' } };
  await writeFile(join(staging, 'package.json'), JSON.stringify(manifest));
  const outcome = await npm(['install', '--ignore-scripts'], staging);
  if (outcome.code === 0) await rename(staging, verdaccioFolder);
  else {
    await rm(staging, { recursive: true, force: true });
    throw new Error(`Verdaccio could not be fetched: ${described(outcome)}`);
  }
}

function startAt(
  { host, prefix }: Place,
  name: string,
  cwd: string,
  port: number,
  command: readonly string[],
  readyPath: string,
  readyLine?: RegExp,
): Promise<ServerProcess> {
  const isHere = prefix.length === 0;
  const url = `http://${host}:${port}`;
  const line = isHere ? undefined : readyLine;
  // Compiled code is kept, and memory not spread, for all that run on Node.js, as `npm start` does it for ours.
  const ours = { NODE_COMPILE_CACHE: join(benchRoot, 'compile'), MALLOC_ARENA_MAX: '1' };
  const env = { OPEN_REGISTRY_TEST_CACHE: cacheRoot, ...ours };
  return startServer({ name, command: [...prefix, ...command], url, readyPath, readyLine: line, cwd, env });
}

type AdminHost = {
  readonly id: string;
  readonly standing: string;
  readonly present: boolean;
  readonly healthy: boolean;
};

/** Approves who applied, and waits until they are in the rotation. */
async function joined(originData: string): Promise<void> {
  for (const end = performance.now() + JOIN_MS_MAX; performance.now() < end; await sleep(LOOK_MS)) {
    const hosts = (await callAdmin(originData, 'GET', ['hosts'])) as AdminHost[];
    for (const { id, standing } of hosts) {
      if (standing === 'pending') await callAdmin(originData, 'POST', ['hosts', id, 'approve']);
    }
    if (hosts.length > 0 && hosts.every(({ present, healthy }) => present && healthy)) return;
  }
  throw new Error(`the mirror did not join its origin within ${JOIN_MS_MAX} ms`);
}
