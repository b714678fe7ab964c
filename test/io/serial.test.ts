import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Serial } from '../../src/io/serial.ts';

test('serial runs one task after the other, in order, also after one that failed', async () => {
  const serial = new Serial();
  const seen: string[] = [];
  const task = (name: string, fails = false) =>
    serial.run(async () => {
      seen.push(`${name} begins`);
      await new Promise(setImmediate);
      seen.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    });
  const results = Promise.allSettled([task('a'), task('b', true), task('c')]);
  await serial.idle();
  assert.deepEqual(seen, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  assert.deepEqual(
    (await results).map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
});
