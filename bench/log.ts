/**
 * What the log costs: `npm run bench:log [-- [--quick] NAME...]`. Origins and mirrors are processes of their own, on
 * loopback and on the disk that holds the system's temporary folder; docs/benchmarks.md explains it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { benchAppends } from './log-appends.ts';
import { benchFollowing } from './log-following.ts';
import { benchLatency } from './log-latency.ts';
import type { LogStage } from './log-stage.ts';
import { benchStarts } from './log-starts.ts';
import { machineLine } from './machine.ts';
import { formatTable } from './report.ts';
import { type Benchmarks, runSelected, say, selected } from './selected.ts';

const BENCHMARKS: Benchmarks<LogStage> = {
  appends: benchAppends,
  following: benchFollowing,
  starts: benchStarts,
  latency: benchLatency,
};

const { names, quick } = selected(BENCHMARKS);
const work = await mkdtemp(join(tmpdir(), 'open-registry-bench-log-'));
const rows = await runSelected(BENCHMARKS, names, { quick, work, say });
await rm(work, { recursive: true, force: true, maxRetries: 3 });
process.stdout.write(`${formatTable(rows)}\n\nMachine: ${machineLine()}\n`);
// Whatever a process that failed to start may still hold open.
process.exit();
