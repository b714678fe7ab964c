/**
 * What the log costs: `npm run bench:log [-- [--quick] NAME...]`. Origins and mirrors are processes of their own, on
 * loopback and on the disk that holds the system's temporary folder; docs/benchmarks.md explains it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { benchAppends } from './log-appends.ts';
import { benchFollowing } from './log-following.ts';
import { benchLatency } from './log-latency.ts';
import type { LogStage } from './log-stage.ts';
import { benchStarts } from './log-starts.ts';
import { machineLine } from './machine.ts';
import { formatTable, type Row, skippedRow } from './report.ts';

const BENCHMARKS: Readonly<Record<string, (stage: LogStage) => Promise<Row[]>>> = {
  appends: benchAppends,
  following: benchFollowing,
  starts: benchStarts,
  latency: benchLatency,
};

const { values, positionals } = parseArgs({ options: { quick: { type: 'boolean' } }, allowPositionals: true });
const names = positionals.length > 0 ? positionals : Object.keys(BENCHMARKS);
const unknown = names.filter((name) => !Object.hasOwn(BENCHMARKS, name));
if (unknown.length > 0) {
  process.stderr.write(`no benchmark ${unknown.join(', ')}; there are ${Object.keys(BENCHMARKS).join(', ')}\n`);
  process.exit(2);
}

const say = (line: string) => void process.stderr.write(`bench: ${line}\n`);
const work = await mkdtemp(join(tmpdir(), 'open-registry-bench-log-'));
const rows: Row[] = [];
for (const name of names) rows.push(...(await runOne(name)));
await rm(work, { recursive: true, force: true, maxRetries: 3 });
process.stdout.write(`${formatTable(rows)}\n\nMachine: ${machineLine()}\n`);
// Whatever a process that failed to start may still hold open.
process.exit();

/** One that fails doesn't take the others along. */
async function runOne(name: string): Promise<Row[]> {
  say(name);
  try {
    return (await BENCHMARKS[name]?.({ quick: values.quick ?? false, work, say })) ?? [];
  } catch (error) {
    process.exitCode = 1;
    say(`${name} failed: ${(error as Error).stack}`);
    return [skippedRow(name, `it failed: ${(error as Error).message.split('\n', 1)[0]}`)];
  }
}
