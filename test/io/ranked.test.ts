import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ranked } from '../../src/io/ranked.ts';

test('of the tasks that wait the highest rank runs next, among equals the first given', async () => {
  const ranked = new Ranked();
  const ran: string[] = [];
  let running = 0;
  const task = (name: string) => async () => {
    running += 1;
    assert.equal(running, 1, 'two tasks at the same time');
    await new Promise((resolve) => setImmediate(resolve));
    ran.push(name);
    running -= 1;
  };
  let later: Promise<unknown> | undefined;
  const first = ranked.run(3, async () => {
    later = Promise.all([ranked.run(1, task('low')), ranked.run(5, task('high')), ranked.run(5, task('high, later'))]);
    await task('first')();
  });
  await Promise.all([first, ranked.run(2, task('second'))]);
  await later;
  assert.deepEqual(ran, ['first', 'high', 'high, later', 'second', 'low']);
});

test('a task that fails tells its caller, and the next one runs', async () => {
  const ranked = new Ranked();
  const failing = ranked.run(2, () => Promise.reject(new Error('no')));
  const next = ranked.run(1, async () => 'done');
  await assert.rejects(failing, /no/);
  assert.equal(await next, 'done');
  assert.equal(await ranked.run(0, async () => 'again'), 'again');
});
