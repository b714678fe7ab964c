import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { openDatabase, type SqliteWriter, type Step } from '../../src/io/sqlite-writer.ts';
import { tempFolder } from '../support/temp-folder.ts';

const data = (folder: string) => ({
  file: join(folder, 'numbers.sqlite'),
  schema: 'CREATE TABLE IF NOT EXISTS numbers (n INTEGER PRIMARY KEY) STRICT',
  statements: ['INSERT INTO numbers VALUES (?)'],
});

type Opened = { writer: SqliteWriter; count: () => number; close: () => Promise<void> };

function open(folder: string): Promise<Opened> {
  return openDatabase(data(folder), (writer, reader) => ({
    writer,
    count: () => Number(reader.prepare('SELECT count(*) AS n FROM numbers').get()?.n),
    close: async () => {
      reader.close();
      await writer.close();
    },
  }));
}

test('a long transaction gives way to everything else, and is seen only as a whole', async () => {
  const { writer, count, close } = await open(tempFolder());
  let turns = 0;
  let running = true;
  const other = (): void => {
    if (!running) return;
    turns += 1;
    assert.ok([0, 40].includes(count()));
    setImmediate(other);
  };
  setImmediate(other);
  let turnsWhileMaking = 0;
  const steps = function* (): Generator<Step> {
    yield* slowSteps(40, 2);
    turnsWhileMaking = turns;
  };
  await writer.transact(steps());
  running = false;
  // 80 ms of work in turns of about 8 ms.
  assert.ok(turnsWhileMaking >= 5, `only ${turnsWhileMaking} turns for others`);
  assert.equal(count(), 40);
  await close();
});

function* slowSteps(steps: number, ms: number): Generator<Step> {
  for (let n = 0; n < steps; n += 1) {
    for (const end = performance.now() + ms; performance.now() < end; );
    yield [0, n];
  }
}

test('a transaction that fails, on either side, leaves nothing and does not spoil the next', async () => {
  const { writer, count, close } = await open(tempFolder());
  const steps = function* (last: () => Step): Generator<Step> {
    yield* slowSteps(5, 3);
    yield last();
  };
  const here = writer.transact(
    steps(() => {
      throw new Error('no more rows');
    }),
  );
  const there = writer.transact(steps(() => [0, 1]));
  const next = writer.transact([[0, 7]]);
  await assert.rejects(here, /no more rows/);
  await assert.rejects(there, /UNIQUE constraint failed/);
  await next;
  assert.equal(count(), 1);
  await close();
});

test('a transaction of more steps than are sent at once is still one', async () => {
  const { writer, count, close } = await open(tempFolder());
  function* failing(): Generator<Step> {
    for (let n = 0; n < 600; n += 1) yield [0, n];
    throw new Error('no more');
  }
  await assert.rejects(writer.transact(failing()), /no more/);
  assert.equal(count(), 0);
  await writer.transact(Array.from({ length: 600 }, (_, n): Step => [0, n]));
  assert.equal(count(), 600);
  await close();
});

test('a writer with nothing to do does not keep the process alive', () => {
  const source = pathToFileURL(join(import.meta.dirname, '../../src/io/sqlite-writer.ts'));
  const script = `
    import { SqliteWriter } from '${source}';
    const writer = await SqliteWriter.open(${JSON.stringify(data(tempFolder()))});
    await writer.transact([[0, 1]]);
    process.stdout.write('written');`;
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.deepEqual([stdout, status], ['written', 0]);
});
