import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TooManyRequestsError } from '../../../src/core/errors.ts';
import { ANONYMOUS_FEEDS_MAX } from '../../../src/core/limits.ts';
import { createFeeds } from '../../../src/origin/hosts/feeds.ts';

test('a network that took all places gives up its oldest to each that comes from others, and gets no more', async (t) => {
  const feeds = createFeeds();
  t.after(() => feeds.close());
  const crowd = Array.from({ length: ANONYMOUS_FEEDS_MAX }, () => feeds.open('10.0.0.0/24', []));
  assert.throws(() => feeds.open('10.0.0.0/24', []), TooManyRequestsError);
  feeds.open('10.0.1.0/24', []);
  feeds.open('10.0.1.0/24', []);
  const [first, second, third] = crowd.map(({ body }) => body[Symbol.asyncIterator]());
  for (const given of [first, second]) {
    assert.equal(String((await given?.next())?.value), ': ping\n\n');
    assert.equal((await given?.next())?.done, true);
  }
  await third?.next();
  feeds.broadcast({ event: 'x', id: null, data: 'still here' });
  assert.match(String((await third?.next())?.value), /still here/);
  assert.throws(() => feeds.open('10.0.0.0/24', []), TooManyRequestsError);
});

test('hosts have places of their own', (t) => {
  const feeds = createFeeds();
  t.after(() => feeds.close());
  for (let count = 0; count < ANONYMOUS_FEEDS_MAX; count += 1) feeds.open('10.0.0.0/24', []);
  feeds.open(null, []);
});
