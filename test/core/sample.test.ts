import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sample } from '../../src/core/sample.ts';

/** A small generator of numbers from 0 to 1 (the constants of Numerical Recipes), the same in every run. */
function numbers(): () => number {
  let state = 1;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

function sampleOf(items: number, most: number, random = numbers()): Sample<number> {
  const sample = new Sample<number>(most, random);
  for (let item = 0; item < items; item += 1) sample.add(item);
  return sample;
}

test('keeps all of few', () => {
  assert.deepEqual(sampleOf(3, 5).items(), [0, 1, 2]);
  assert.deepEqual([sampleOf(5, 0).items(), sampleOf(5, 0).seen], [[], 5]);
});

test('keeps each of many about as often as any other', () => {
  const random = numbers();
  const times = new Array<number>(10).fill(0);
  for (let run = 0; run < 10_000; run += 1) {
    const items = sampleOf(10, 3, random).items();
    assert.equal(new Set(items).size, 3);
    for (const item of items) times[item] = (times[item] as number) + 1;
  }
  // Each is expected 3,000 times; the standard deviation is 46.
  for (const count of times) assert.ok(count > 2_750 && count < 3_250, String(times));
});
