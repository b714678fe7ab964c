import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBell } from '../../src/io/bell.ts';

const never = new AbortController().signal;

test('who waits is woken by a ring', async () => {
  const bell = createBell();
  const waits = [bell.wait(0, null, never), bell.wait(0, 60_000, never)];
  bell.ring();
  assert.deepEqual(await Promise.all(waits), ['rang', 'rang']);
});

test('a ring before the wait is not missed, and an older one is not heard again', async () => {
  const bell = createBell();
  const seen = bell.rung();
  bell.ring();
  assert.equal(await bell.wait(seen, null, never), 'rang');
  assert.equal(await bell.wait(bell.rung(), 1, never), 'silence');
});

test('a reader that leaves waits no more', async () => {
  const bell = createBell();
  const leaving = new AbortController();
  const wait = bell.wait(0, null, leaving.signal);
  leaving.abort();
  assert.equal(await wait, 'over');
  assert.equal(await bell.wait(0, null, leaving.signal), 'over');
});

test('a closed bell ends all waiting', async () => {
  const bell = createBell();
  const wait = bell.wait(0, null, never);
  bell.close();
  assert.deepEqual([await wait, await bell.wait(0, null, never)], ['over', 'over']);
});
