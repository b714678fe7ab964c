import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { chooseToLetGo, type Kept } from '../../src/core/let-go.ts';

const sum = (kept: readonly Kept[]) => kept.reduce((bytes, one) => bytes + one.bytes, 0);
const named = (...bytes: number[]): Kept[] => bytes.map((size, at) => ({ name: `p${at}`, bytes: size }));
const names = (kept: readonly Kept[]) => kept.map(({ name }) => name);

test('the oldest go, as few as it takes, and what is being used stays', () => {
  const kept = named(10, 20, 30, 40);
  const room = { used: 100, incoming: 25, bytesMax: 100 };
  assert.deepEqual(names(chooseToLetGo(kept, room, () => true)), ['p0', 'p1']);
  assert.deepEqual(names(chooseToLetGo(kept, room, ({ name }) => name !== 'p1')), ['p0', 'p2']);
  assert.deepEqual(
    chooseToLetGo(kept, { ...room, incoming: 0 }, () => true),
    [],
  );
});

test('what is larger than the whole share goes first, and pushes nothing out while it has to stay', () => {
  const kept = named(10, 500, 80);
  const room = { used: 590, incoming: 0, bytesMax: 100 };
  assert.deepEqual(names(chooseToLetGo(kept, room, () => true)), ['p1']);
  assert.deepEqual(
    chooseToLetGo(kept, room, ({ name }) => name !== 'p1'),
    [],
  );
  assert.deepEqual(
    chooseToLetGo(named(10, 80), { used: 90, incoming: 500, bytesMax: 100 }, () => true),
    [],
  );
});

const kept = fc.array(fc.nat(1_200), { maxLength: 30 }).map((bytes) => named(...bytes));
const bytes = fc.nat(1_000);

test('whatever is kept: enough goes if that is possible, in order, and nothing goes without need', () => {
  fc.assert(
    fc.property(
      kept,
      bytes,
      fc.integer({ min: 1, max: 1_000 }),
      fc.func(fc.boolean()),
      (all, incoming, bytesMax, f) => {
        const used = sum(all);
        const mayGo = ({ name }: Kept) => f(name);
        const isBeyond = (one: Kept) => one.bytes > bytesMax;
        const going = chooseToLetGo(all, { used, incoming, bytesMax }, mayGo);
        assert.ok(going.every(mayGo) && new Set(going).size === going.length);

        const beyond = sum(all.filter(isBeyond));
        const needed = used + (incoming > bytesMax ? 0 : incoming) - bytesMax;
        const others = going.filter((one) => !isBeyond(one));
        const mightGo = all.filter((one) => !isBeyond(one) && mayGo(one));
        assert.deepEqual(others, mightGo.slice(0, others.length), 'the oldest first');
        if (needed <= 0) return assert.deepEqual(going, []);
        assert.deepEqual(
          going.filter(isBeyond),
          all.filter((one) => isBeyond(one) && mayGo(one)),
        );
        assert.ok(sum(others) >= needed - beyond || others.length === mightGo.length, 'enough');
        assert.ok(others.length === 0 || sum(others.slice(0, -1)) < needed - beyond, 'no more than that');
      },
    ),
  );
});
