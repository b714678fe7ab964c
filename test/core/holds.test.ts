import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HOLD_LIMITS, Holds } from '../../src/core/holds.ts';

const { freeFailures, firstMs, longestMs } = HOLD_LIMITS;

test('the first failures are free, then the wait doubles up to ten minutes', () => {
  const holds = new Holds();
  const waits = Array.from({ length: 12 }, () => {
    holds.failed('a', 1_000);
    return holds.left('a', 1_000) / 1_000;
  });
  assert.deepEqual(waits, [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 600, 600]);
});

test('a wait passes, is one thing alone, and its failures are forgotten upon a success', () => {
  const holds = new Holds({ freeFailures: 0 });
  holds.failed('a', 0);
  assert.deepEqual([holds.left('a', 1), holds.left('b', 1)], [firstMs - 1, 0]);
  assert.deepEqual([holds.left('a', firstMs), holds.left('a', firstMs + 1)], [0, 0]);
  holds.failed('a', firstMs);
  assert.equal(holds.left('a', firstMs), 2 * firstMs);
  holds.succeeded('a');
  assert.equal(holds.left('a', firstMs), 0);
  holds.failed('a', firstMs);
  assert.equal(holds.left('a', firstMs), firstMs);
});

test('memory is bounded: what failed longest ago is forgotten', () => {
  const holds = new Holds({ freeFailures: 0, entriesMax: 2 });
  for (const [at, key] of ['a', 'b', 'a', 'c'].entries()) holds.failed(key, at);
  assert.deepEqual(
    ['a', 'b', 'c'].map((key) => holds.left(key, 3) > 0),
    [true, false, true],
  );
});

test('whoever tries whenever it may, fails rarely', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100_000_000 }), (forMs) => {
      const holds = new Holds();
      let tries = 0;
      for (let now = 0; now <= forMs; now += Math.max(1, holds.left('a', now))) {
        holds.failed('a', now);
        tries += 1;
      }
      assert.ok(tries <= freeFailures + 6 + forMs / longestMs);
    }),
  );
});
