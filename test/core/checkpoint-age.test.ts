import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ageOf, isPlausible, Outgrown } from '../../src/core/checkpoint-age.ts';

test('a checkpoint is as old as the newest word on it, and fresh for an hour', () => {
  assert.deepEqual(ageOf(7, null, 1_000), { size: 7, ageSeconds: null, fresh: false });
  assert.deepEqual(ageOf(7, 900, 1_000.9), { size: 7, ageSeconds: 100, fresh: true });
  assert.deepEqual(ageOf(7, 1_100, 1_000), { size: 7, ageSeconds: 0, fresh: true });
  assert.deepEqual([ageOf(7, 0, 3_600).fresh, ageOf(7, 0, 3_601).fresh], [true, false]);
});

test('clocks may be five minutes apart', () => {
  assert.deepEqual([isPlausible(1_300, 1_000), isPlausible(1_301, 1_000), isPlausible(0, 1_000)], [true, false, true]);
});

test('a log says since when it has had more than so many entries', () => {
  const outgrown = new Outgrown(60_000);
  assert.equal(outgrown.since(0), null);
  outgrown.note(10, 0);
  outgrown.note(20, 5_000);
  outgrown.note(30, 9_000);
  assert.deepEqual(
    [0, 10, 19, 20, 29, 30].map((size) => outgrown.since(size)),
    [0, 5_000, 5_000, 9_000, 9_000, null],
  );
});

test('what it says is right to the second, and never forgets that a size was outgrown', () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 4_000 })), {
    minLength: 1,
  });
  fc.assert(
    fc.property(steps, (changes) => {
      const [keepMs, outgrown, exact] = [10_000, new Outgrown(10_000), [] as { size: number; atMs: number }[]];
      let [size, atMs] = [0, 0];
      for (const [more, ms] of changes) {
        [size, atMs] = [size + more, atMs + ms];
        outgrown.note(size, atMs);
        exact.push({ size, atMs });
      }
      for (let of = 0; of < size; of++) {
        const truth = exact.find((step) => step.size > of)?.atMs as number;
        const said = outgrown.since(of);
        assert.ok(said !== null);
        if (atMs - truth <= keepMs) assert.ok(Math.abs(said - truth) <= 1_000, `${said}, truly ${truth}`);
        else assert.ok(atMs - said >= keepMs - 1_000);
      }
      assert.equal(outgrown.since(size), null);
    }),
  );
});
