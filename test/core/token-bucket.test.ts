import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenBuckets } from '../../src/core/token-bucket.ts';

test('a burst is served at once, then the rate holds', () => {
  const buckets = new TokenBuckets({ burst: 3, perSecond: 2 });
  const taken = [0, 0, 0, 0, 499, 500, 501, 1000].map((now) => buckets.take('a', now));
  assert.deepEqual(taken, [true, true, true, false, false, true, false, true]);
});

test('keys do not share tokens', () => {
  const buckets = new TokenBuckets({ burst: 1, perSecond: 1 });
  assert.deepEqual([buckets.take('a', 0), buckets.take('b', 0), buckets.take('a', 0)], [true, true, false]);
});

test('a bucket never holds more than its burst, and a clock that goes back adds nothing', () => {
  const buckets = new TokenBuckets({ burst: 1, perSecond: 1 });
  assert.equal(buckets.take('a', 0), true);
  assert.equal(buckets.take('a', 1_000_000), true);
  assert.equal(buckets.take('a', 0), false);
});

test('memory is bounded: the key used longest ago is forgotten first', () => {
  const buckets = new TokenBuckets({ burst: 1, perSecond: 0, keysMax: 2 });
  for (const key of ['a', 'b', 'c']) buckets.take(key, 0);
  assert.deepEqual([buckets.take('b', 0), buckets.take('a', 0)], [false, true]);
});
