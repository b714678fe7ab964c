import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test } from 'node:test';
import { every } from '../../src/io/schedule.ts';

const quiet = { onError: () => assert.fail('the task did not fail') };

test('a task runs after each interval, with jitter, and not after stop', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const events = new EventEmitter();
  let runs = 0;
  const schedule = every(
    async () => {
      runs++;
      events.emit('ran');
    },
    { intervalMs: 100, jitter: 0.5, random: () => 1, ...quiet },
  );
  const ran = once(events, 'ran');
  context.mock.timers.tick(149);
  assert.equal(runs, 0);
  context.mock.timers.tick(1);
  await ran;
  await schedule.stop();
  context.mock.timers.tick(1_000);
  assert.equal(runs, 1);
});

test('never twice at once, and stop waits for the run in progress', async () => {
  const events = new EventEmitter();
  let runs = 0;
  const schedule = every(
    async () => {
      runs++;
      await once(events, 'go on');
    },
    { intervalMs: 1e6, ...quiet },
  );
  const both = [schedule.runNow(), schedule.runNow()];
  let stopped = false;
  const stopping = schedule.stop().then(() => {
    stopped = true;
  });
  await new Promise(setImmediate);
  assert.deepEqual({ runs, stopped }, { runs: 1, stopped: false });
  events.emit('go on');
  await Promise.all([...both, stopping]);
  await schedule.runNow();
  assert.equal(runs, 1);
});

test('a task that fails is told of and runs again', async () => {
  const errors: unknown[] = [];
  const schedule = every(() => Promise.reject(new Error('no')), {
    intervalMs: 1e6,
    onError: (error) => errors.push(error),
  });
  await schedule.runNow();
  await schedule.runNow();
  assert.equal(errors.length, 2);
  await schedule.stop();
});
