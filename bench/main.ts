/**
 * The side-by-side comparison: `npm run bench [-- [--quick] NAME...]`. Our servers, nginx and Verdaccio on the same
 * packages in the same run, all on loopback or in namespaces of its own; docs/benchmarks.md explains it.
 */
import { benchCold } from './cold.ts';
import { benchDistance } from './distance.ts';
import { findTools, machineLine } from './machine.ts';
import { benchMemory } from './memory.ts';
import { benchInstalls } from './npm-ci.ts';
import { benchPackuments } from './packument-hits.ts';
import { benchRedirects } from './redirects.ts';
import { formatTable } from './report.ts';
import { type Benchmarks, runSelected, say, selected } from './selected.ts';
import { openStage, type Stage } from './stage.ts';
import { benchStarts } from './starts.ts';
import { benchTarballs } from './tarballs.ts';

/** In this order: memory is looked at after the load. */
const BENCHMARKS: Benchmarks<Stage> = {
  tarballs: benchTarballs,
  packuments: benchPackuments,
  redirects: benchRedirects,
  'npm-ci': benchInstalls,
  cold: benchCold,
  memory: benchMemory,
  start: benchStarts,
  distance: benchDistance,
};
const TOTAL_MS_MAX = 30 * 60_000;

const { names, quick } = selected(BENCHMARKS);
const stage = await openStage(quick, await findTools(say), say);
const stop = async (why: string) => {
  say(why);
  await stage.close();
  process.exit(1);
};
process.once('SIGINT', () => stop('interrupted')).once('SIGTERM', () => stop('terminated'));
setTimeout(stop, TOTAL_MS_MAX, `stopped after ${TOTAL_MS_MAX / 60_000} minutes`).unref();

const rows = await runSelected(BENCHMARKS, names, stage);
await stage.close();
const load = stage.tools.wrk === null ? 'a generator in Node.js, as wrk is not here' : 'wrk';
process.stdout.write(`${formatTable(rows)}\n\nMachine: ${machineLine()}; load by ${load}\n`);
// Whatever a server that failed to start may still hold open.
process.exit();
