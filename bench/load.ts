/** Load on one URL from another process: by wrk, or by a small generator of our own where wrk is not there. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { described, run } from '../test/support/run.ts';

export type Target = { readonly url: string; readonly headers: Readonly<Record<string, string>> };

export type LoadOptions = {
  readonly seconds: number;
  readonly connections: number;
  /** Pause of each connection between an answer and its next request. */
  readonly pauseMs?: number;
};

export type Load = {
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly p99Ms: number;
  /** Answers of status 400 and above, and requests without one. */
  readonly errors: number;
};

const SCRIPT = `
local pause = tonumber(os.getenv("BENCH_PAUSE_MS"))
if pause > 0 then function delay() return pause end end
function done(summary, latency)
  local seconds, e = summary.duration / 1e6, summary.errors
  io.write(string.format('{"requestsPerSecond":%f,"bytesPerSecond":%f,"p99Ms":%f,"errors":%d}',
    summary.requests / seconds, summary.bytes / seconds, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
`;

/** Runs load for some seconds. @throws Error if any answer was an error: such figures say nothing */
export async function runLoad(
  wrk: string | null,
  work: string,
  target: Target,
  { seconds, connections, pauseMs = 0 }: LoadOptions,
): Promise<Load> {
  const command = wrk === null ? ownCommand(target) : await wrkCommand(wrk, work, target, seconds, connections);
  const own = { BENCH_SECONDS: `${seconds}`, BENCH_CONNECTIONS: `${connections}`, BENCH_PAUSE_MS: `${pauseMs}` };
  const [program = '', ...args] = command;
  const options = { cwd: work, env: { PATH: process.env.PATH, ...own }, timeoutMs: (seconds + 30) * 1000 };
  const outcome = await run(program, args, options);
  const [json] = /\{"requestsPerSecond".*\}/.exec(outcome.stdout) ?? [];
  if (outcome.code !== 0 || json === undefined) throw new Error(`no load on ${target.url}: ${described(outcome)}`);
  const load: Load = JSON.parse(json);
  if (load.errors > 0) throw new Error(`${load.errors} errors under load from ${target.url}: ${outcome.stdout}`);
  return load;
}

async function wrkCommand(wrk: string, work: string, { url, headers }: Target, seconds: number, connections: number) {
  const script = join(work, 'wrk.lua');
  await writeFile(script, SCRIPT);
  const lines = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  return [wrk, '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, ...lines, url];
}

function ownCommand({ url, headers }: Target): string[] {
  return [process.execPath, join(import.meta.dirname, 'load-generator.ts'), url, JSON.stringify(headers)];
}
