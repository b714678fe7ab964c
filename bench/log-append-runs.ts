/** Appends to an origin's log on a real disk, with a real key; in a process of its own. */
import { openOriginKeys } from '../src/io/key-file.ts';
import { openOriginStores } from '../src/io/stores.ts';
import { type Log, openLog } from '../src/origin/log/log.ts';
import { madeMeasured } from './log-entries.ts';

export type AppendRuns = {
  /** ms of each append, one after the other. */
  readonly singleMs: readonly number[];
  /** What so many at the same time came to: appends, the time for all of them in ms, and checkpoints. */
  readonly together: { readonly appends: number; readonly ms: number; readonly checkpoints: number };
};

const WARM_UP = 50;

/** @param options `singles` appends one by one; then `together` at the same time, each of them `rounds` times. */
export async function measureAppends(options: {
  readonly data: string;
  readonly singles: number;
  readonly together: number;
  readonly rounds: number;
}): Promise<AppendRuns> {
  const keys = await openOriginKeys(options.data);
  const stores = await openOriginStores(options.data);
  const log = await openLog({ metadata: stores.metadata, blobs: stores.blobs, logKey: keys.log, now: Date.now });
  try {
    await oneByOne(log, WARM_UP);
    const singleMs = await oneByOne(log, options.singles);
    return { singleMs, together: await atOnce(log, options.together, options.rounds) };
  } finally {
    await stores.close();
  }
}

async function oneByOne(log: Log, count: number): Promise<number[]> {
  const taken: number[] = [];
  for (let at = 0; at < count; at++) taken.push(await timed(() => appendOne(log)));
  return taken;
}

async function atOnce(log: Log, count: number, rounds: number): Promise<AppendRuns['together']> {
  let checkpoints = 0;
  const end = log.subscribe(() => {
    checkpoints += 1;
  });
  const appender = async () => {
    for (let round = 0; round < rounds; round++) await appendOne(log);
  };
  const ms = await timed(() => Promise.all(Array.from({ length: count }, appender)));
  end();
  return { appends: count * rounds, ms, checkpoints };
}

/** What each tarball that is fetched for the first time appends. */
function appendOne(log: Log): Promise<void> {
  const { time: _, ...entry } = madeMeasured(0, `appended ${log.size()} ${Math.random()}`);
  return log.append([entry]);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}
