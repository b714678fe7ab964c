import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inParallel } from '../../src/io/in-parallel.ts';

test('runs every task, so many at a time', async () => {
  let running = 0;
  let most = 0;
  const done: number[] = [];
  await inParallel([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
    running += 1;
    most = Math.max(most, running);
    await new Promise(setImmediate);
    done.push(item);
    running -= 1;
  });
  assert.deepEqual([done.sort(), most, running], [[1, 2, 3, 4, 5, 6, 7], 3, 0]);
});

test('starts nothing more after a failure, and waits for what is under way', async () => {
  const done: number[] = [];
  const all = inParallel([1, 2, 3, 4], 2, async (item) => {
    if (item === 1) throw new Error('the first');
    await new Promise(setImmediate);
    done.push(item);
  });
  await assert.rejects(all, /the first/);
  assert.deepEqual(done, [2]);
});

test('takes nothing at all', async () => {
  await inParallel([], 4, async () => assert.fail('there is nothing to do'));
});
