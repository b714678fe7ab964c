import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UseOrder } from '../../src/core/use-order.ts';

const any = () => true;

test('the one not used for the longest time goes first, of those that may go', () => {
  const order = new UseOrder();
  for (const key of ['a', 'b', 'c']) order.add(key, 1);
  order.use('a');
  order.use('unknown');
  assert.equal(order.oldest(any), 'b');
  assert.equal(
    order.oldest((key) => key === 'a'),
    'a',
  );
  assert.equal(
    order.oldest(() => false),
    null,
  );
});

test('what was there before is older than everything, but for what was used since', () => {
  const order = new UseOrder();
  order.add('new', 5);
  order.add('both', 7);
  order.addOlder([
    ['oldest', 1],
    ['both', 7],
    ['older', 2],
  ]);
  const gone: string[] = [];
  for (let key = order.oldest(any); key !== null; key = order.oldest(any)) {
    gone.push(key);
    order.remove(key);
  }
  assert.deepEqual(gone, ['oldest', 'older', 'new', 'both']);
  assert.equal(order.bytes, 0);
});

test('the sum is always that of what is known', () => {
  const step = fc.tuple(fc.constantFrom('add', 'use', 'remove', 'older'), fc.constantFrom(...'abcd'), fc.nat(100));
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const [order, model] = [new UseOrder(), new Map<string, number>()];
      for (const [what, key, size] of steps) {
        if (what === 'add') order.add(key, size);
        if (what === 'add' || (what === 'older' && !model.has(key))) model.set(key, size);
        if (what === 'older') order.addOlder([...model].filter(([known]) => known === key));
        if (what === 'use') order.use(key);
        if (what === 'remove') order.remove(key);
        if (what === 'remove') model.delete(key);
      }
      assert.equal(
        order.bytes,
        [...model.values()].reduce((sum, size) => sum + size, 0),
      );
    }),
  );
});
