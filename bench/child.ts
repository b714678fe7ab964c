/** Servers as processes of their own: started, watched, and gone when the benchmark is. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { killGroup } from '../test/support/run.ts';

export type ServerProcess = {
  readonly name: string;
  /** Base URL without a slash at the end. */
  readonly url: string;
  /** Ms from the start of the process to its first answer. */
  readonly firstAnswerMs: number;
  /** What it printed so far. */
  output(): string;
  /** Resident memory of the process and its children now, MB; NaN where the system doesn't tell. */
  memoryMb(): Promise<number>;
  stop(): Promise<void>;
};

export type ServerCommand = {
  readonly name: string;
  readonly command: readonly string[];
  /** Where it will answer, and the path whose status 200 says that it does. */
  readonly url: string;
  readonly readyPath: string;
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What it prints when it is ready, where it isn't reached from here. */
  readonly readyLine?: RegExp | undefined;
};

const START_MS_MAX = 60_000;
const LOOK_MS = 5;
const STOP_MS_MAX = 15_000;

/** Starts a server and waits until it answers. @throws Error with what it printed if it doesn't in a minute */
export async function startServer(options: ServerCommand): Promise<ServerProcess> {
  const { name, command, url, readyPath, readyLine, cwd, env } = options;
  const [program = '', ...args] = command;
  const started = performance.now();
  const child = spawn(program, args, {
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, HOME: cwd, ...env },
  });
  const printed: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => printed.push(chunk));
  const output = () => Buffer.concat(printed).toString();
  const server = { name, url, output, memoryMb: () => memoryOf(child.pid ?? 0), stop: () => stop(child) };
  const answers = async () => (readyLine ? readyLine.test(output()) : isOk(url + readyPath));
  while (!(await answers())) {
    const isLate = performance.now() - started > START_MS_MAX;
    if (!isLate && child.exitCode === null && child.signalCode === null) await sleep(LOOK_MS);
    else {
      await stop(child);
      throw new Error(`${name} did not start: ${output()}`);
    }
  }
  return { ...server, firstAnswerMs: performance.now() - started };
}

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function isOk(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(5_000) });
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    return false;
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const late = AbortSignal.timeout(STOP_MS_MAX);
  late.onabort = () => killGroup(child);
  await ended;
  late.onabort = null;
}

async function memoryOf(pid: number): Promise<number> {
  try {
    const parents = await parentsById();
    const family = [pid, ...parents.filter(([, parent]) => parent === pid).map(([id]) => id)];
    const kilobytes = await Promise.all(family.map(residentKb));
    return kilobytes.reduce((sum, kb) => sum + kb, 0) / 1000;
  } catch {
    return Number.NaN;
  }
}

async function parentsById(): Promise<[number, number][]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const status = (id: string) => readFile(`/proc/${id}/status`, 'utf8').catch(() => '');
  return Promise.all(ids.map(async (id) => [Number(id), numberIn(await status(id), 'PPid')] as [number, number]));
}

async function residentKb(id: number): Promise<number> {
  return numberIn(await readFile(`/proc/${id}/status`, 'utf8'), 'VmRSS') * 1.024;
}

function numberIn(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
}
