import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LentBytes } from '../../src/io/lent-bytes.ts';

test('lent bytes: a blob counts once, until the last of its answers is through', () => {
  const lent = new LentBytes(10);
  const [first, second] = [lent.lend('a', 6), lent.lend('a', 6)];
  assert.ok(first && second);
  assert.equal(lent.lend('b', 6), null);
  first();
  assert.equal(lent.lend('b', 6), null);
  second();
  assert.ok(lent.lend('b', 6));
});

test('lent bytes: as much as there is room for, and what is lent already may be lent on', () => {
  const lent = new LentBytes(10);
  const done = lent.lend('a', 10);
  assert.equal(lent.lend('b', 1), null);
  assert.ok(lent.lend('a', 10));
  done?.();
  assert.equal(lent.lend('b', 1), null);
});
