import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import { openDataDir } from '../../src/io/data-dir.ts';
import { type OriginStores, openOriginStores } from '../../src/io/stores.ts';
import { checkSteps } from '../support/storage/steps.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** How many parts the writer may finish, and how many milliseconds it has after that: where it is by then is chance. */
const KILLS = [
  [1, 0],
  [3, 1],
  [4, 2],
  [3, 4],
  [7, 3],
  [2, 1],
  [3, 2],
  [6, 5],
] as const;
const script = join(import.meta.dirname, '../support/storage/run-steps.ts');

test('nothing that was acknowledged is lost, and nothing half-written is seen, however often the writer is killed', async () => {
  const dir = tempFolder();
  let done = 0;
  let seen = 0;
  for (const [parts, ms] of KILLS) {
    done = await killedAfter(dir, parts, ms, done);
    await withStores(dir, async (stores) => {
      seen = await checkSteps(stores, await foldedOr(stores, done));
    });
  }
  assert.ok(seen >= KILLS.length / 2, `only ${seen} steps in all`);
});

/** Lets the writer finish so many parts, and kills it a little later, wherever it is by then. Returns the steps acknowledged so far. */
async function killedAfter(dir: string, parts: number, ms: number, done: number): Promise<number> {
  const writer: ChildProcess = spawn(process.execPath, [script, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(writer, 'exit');
  let finished = 0;
  for await (const line of createInterface({ input: writer.stdout as Readable })) {
    finished += 1;
    if (line.startsWith('done ')) done = Number(line.slice('done '.length)) + 1;
    if (finished === parts) setTimeout(() => writer.kill('SIGKILL'), ms);
  }
  assert.deepEqual((await exited)[1], 'SIGKILL');
  return done;
}

/** A fold may have become durable without the writer living to say so. */
async function foldedOr(stores: OriginStores, done: number): Promise<number> {
  const folded = await stores.metadata.folded();
  assert.ok(folded === done || folded === done + 1, `${done} steps were acknowledged, ${folded} are folded`);
  return folded;
}

async function withStores(dir: string, work: (stores: OriginStores) => Promise<void>): Promise<void> {
  const data = await openDataDir(dir, 'origin');
  const stores = await openOriginStores(dir);
  await work(stores);
  await stores.close();
  await data.close();
}
