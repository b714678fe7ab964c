import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { delayLine } from '../../bench/delay-line.ts';

test('what goes into a delay line comes out once, in the same order, when its time has passed', () => {
  fc.assert(
    fc.property(fc.nat({ max: 200 }), fc.array(fc.nat({ max: 50 })), (ms, pauses) => {
      const line = delayLine<number>(ms);
      const arrivals: number[] = [];
      let now = 0;
      for (const pause of pauses) {
        now += pause;
        for (const sentAt of line.arrived(now)) {
          assert.ok(sentAt + ms <= now);
          arrivals.push(sentAt);
        }
        line.put(now, now);
        assert.ok(line.nextAt() > now || ms === 0);
      }
      assert.deepEqual(arrivals.concat(line.arrived(now + ms)), sendings(pauses));
      assert.equal(line.nextAt(), Number.POSITIVE_INFINITY);
    }),
  );
});

test('the next arrival is the time that the first one still needs', () => {
  const line = delayLine<string>(40);
  line.put('first', 5);
  line.put('second', 7);
  assert.equal(line.nextAt(), 45);
  assert.deepEqual(line.arrived(44), []);
  assert.deepEqual(line.arrived(45), ['first']);
  assert.equal(line.nextAt(), 47);
});

function sendings(pauses: readonly number[]): number[] {
  let now = 0;
  return pauses.map((pause) => {
    now += pause;
    return now;
  });
}
