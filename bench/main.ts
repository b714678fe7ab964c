/**
 * The side-by-side comparison: `npm run bench [-- [--quick] NAME...]`. Our servers, nginx and Verdaccio on the same
 * packages in the same run, all on loopback or in namespaces of its own; docs/benchmarks.md explains it.
 */
import { parseArgs } from 'node:util';
import { benchDistance } from './distance.ts';
import { findTools, machineLine } from './machine.ts';
import { benchMemory } from './memory.ts';
import { benchInstalls } from './npm-ci.ts';
import { benchPackuments } from './packument-hits.ts';
import { benchRedirects } from './redirects.ts';
import { formatTable, type Row, skippedRow } from './report.ts';
import { openStage, type Stage } from './stage.ts';
import { benchStarts } from './starts.ts';
import { benchTarballs } from './tarballs.ts';

/** In this order: memory is looked at after the load. */
const BENCHMARKS: Readonly<Record<string, (stage: Stage) => Promise<Row[]>>> = {
  tarballs: benchTarballs,
  packuments: benchPackuments,
  redirects: benchRedirects,
  'npm-ci': benchInstalls,
  memory: benchMemory,
  start: benchStarts,
  distance: benchDistance,
};
const TOTAL_MS_MAX = 30 * 60_000;

const { values, positionals } = parseArgs({ options: { quick: { type: 'boolean' } }, allowPositionals: true });
const names = positionals.length > 0 ? positionals : Object.keys(BENCHMARKS);
const unknown = names.filter((name) => !Object.hasOwn(BENCHMARKS, name));
if (unknown.length > 0) {
  process.stderr.write(`no benchmark ${unknown.join(', ')}; there are ${Object.keys(BENCHMARKS).join(', ')}\n`);
  process.exit(2);
}

const say = (line: string) => void process.stderr.write(`bench: ${line}\n`);
const stage = await openStage(values.quick ?? false, await findTools(say), say);
const stop = async (why: string) => {
  say(why);
  await stage.close();
  process.exit(1);
};
process.once('SIGINT', () => stop('interrupted')).once('SIGTERM', () => stop('terminated'));
setTimeout(stop, TOTAL_MS_MAX, `stopped after ${TOTAL_MS_MAX / 60_000} minutes`).unref();

const rows: Row[] = [];
for (const name of names) rows.push(...(await runOne(name)));
await stage.close();
const load = stage.tools.wrk === null ? 'a generator in Node.js, as wrk is not here' : 'wrk';
process.stdout.write(`${formatTable(rows)}\n\nMachine: ${machineLine()}; load by ${load}\n`);
// Whatever a server that failed to start may still hold open.
process.exit();

/** One that fails doesn't take the others along. */
async function runOne(name: string): Promise<Row[]> {
  say(name);
  try {
    return (await BENCHMARKS[name]?.(stage)) ?? [];
  } catch (error) {
    process.exitCode = 1;
    say(`${name} failed: ${(error as Error).stack}`);
    return [skippedRow(name, `it failed: ${(error as Error).message.split('\n', 1)[0]}`)];
  }
}
