/** Cold starts with a long log: from starting the command to the checkpoint as its first answer, and memory when idle. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, type ServerProcess, startServer } from './child.ts';
import { benchRoot } from './corpus.ts';
import { runLogProcess } from './log-child.ts';
import { type LogStage, NO_UPSTREAM, startedMirror, startedOrigin } from './log-stage.ts';
import { absoluteRow, median, type Row } from './report.ts';

const ENTRIES = 1_000_000;
const QUICK_ENTRIES = 100_000;
const ROUNDS = 3;
const MS_MAX = 1_000;
const MB_MAX = 150;
const IDLE_AFTER_MS = 2_000;
const program = [process.execPath, '--max-semi-space-size=8', join(import.meta.dirname, '../src/cli/main.ts')];

export async function benchStarts({ quick, work, say }: LogStage): Promise<Row[]> {
  const size = quick ? QUICK_ENTRIES : ENTRIES;
  const [originData, mirrorData] = [join(work, 'long'), join(work, 'long-mirror')];
  say(`making a log of ${size} entries`);
  await runLogProcess('fill', { data: originData, size });
  say('letting a mirror follow it');
  await followAll(work, originData, size);
  say('starting both');
  const origins = await starts(work, 'origin', ['--data', originData, '--upstream', NO_UPSTREAM]);
  const mirrors = await starts(work, 'mirror', ['--data', mirrorData, '--origin', NO_UPSTREAM]);
  return [...rowsOf('origin', size, origins), ...rowsOf('mirror', size, mirrors)];
}

async function followAll(work: string, data: string, size: number): Promise<void> {
  const origin = await startedOrigin(data, null);
  const mirror = startedMirror(work, 'long-mirror', origin.url);
  await mirror.until('served', (served) => served.size >= size);
  await mirror.stop();
  await origin.stop();
}

type Starts = { readonly firstAnswerMs: number; readonly idleMb: number };

/** The same again and again; nobody writes in between. */
async function starts(cwd: string, role: string, flags: readonly string[]): Promise<Starts> {
  const taken: Starts[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const server = await startedServer(cwd, role, flags);
    await sleep(IDLE_AFTER_MS);
    taken.push({ firstAnswerMs: server.firstAnswerMs, idleMb: await server.memoryMb() });
    await server.stop();
  }
  const middle = (field: keyof Starts) => median(taken.map((one) => one[field]));
  return { firstAnswerMs: middle('firstAnswerMs'), idleMb: middle('idleMb') };
}

async function startedServer(cwd: string, role: string, flags: readonly string[]): Promise<ServerProcess> {
  const port = await freePort();
  const command = [...program, role, ...flags, '--host', '127.0.0.1', '--port', `${port}`, '--log-level', 'error'];
  const env = { NODE_COMPILE_CACHE: join(benchRoot, 'compile'), MALLOC_ARENA_MAX: '1' };
  const url = `http://127.0.0.1:${port}`;
  return startServer({ name: role, command, url, readyPath: '/-/federation/checkpoint', cwd, env });
}

function rowsOf(who: string, size: number, { firstAnswerMs, idleMb }: Starts): Row[] {
  const what = `cold start with ${size} entries`;
  return [
    absoluteRow(`${what}, to its checkpoint`, 'ms', { who, value: firstAnswerMs }, { atMost: MS_MAX }),
    absoluteRow(`${what}, memory when idle`, 'MB', { who, value: idleMb }, { atMost: MB_MAX }),
  ];
}
