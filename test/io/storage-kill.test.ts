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

const ROUNDS = 8;
const script = join(import.meta.dirname, '../support/storage/run-steps.ts');

test('nothing that was acknowledged is lost, and nothing half-written is seen, however often the writer is killed', async () => {
  const dir = tempFolder();
  let done = 0;
  let seen = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    done = await killedAfter(dir, 1 + ((round * 7) % 11), done);
    await withStores(dir, async (stores) => {
      seen = await checkSteps(stores, await foldedOr(stores, done));
    });
  }
  assert.ok(seen >= ROUNDS, `only ${seen} steps in all`);
});

/** Lets the writer finish so many parts, then kills it, wherever it is by then. Returns the steps acknowledged so far. */
async function killedAfter(dir: string, parts: number, done: number): Promise<number> {
  const writer: ChildProcess = spawn(process.execPath, [script, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(writer, 'exit');
  let finished = 0;
  for await (const line of createInterface({ input: writer.stdout as Readable })) {
    finished += 1;
    if (line.startsWith('done ')) done = Number(line.slice('done '.length)) + 1;
    if (finished === parts) writer.kill('SIGKILL');
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
