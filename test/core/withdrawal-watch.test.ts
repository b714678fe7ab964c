import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type WatchedWithdrawal, WithdrawalWatch } from '../../src/core/withdrawal-watch.ts';

const HOUR = 3_600_000;
const withdrawal = (index: number, time: number, deadline = 3_600): WatchedWithdrawal => ({
  ...{ index, time, deadline, tarballs: [{ sha512: `hash ${index}`, subject: `alpha@${index}` }] },
});

describe('what an origin expects of its hosts', () => {
  it('is that they hold a withdrawal once its deadline has passed, and not before', () => {
    const watch = new WithdrawalWatch();
    assert.deepEqual([watch.mustHold(0), watch.nextDue()], [0, Number.POSITIVE_INFINITY]);
    watch.note(withdrawal(7, 1_000));
    watch.note(withdrawal(9, 2_000, 60));
    assert.equal(watch.nextDue(), 62_000);
    assert.deepEqual([watch.mustHold(61_999), watch.mustHold(62_000)], [0, 10]);
    assert.equal(watch.nextDue(), HOUR + 1_000);
    assert.equal(watch.mustHold(HOUR + 1_000), 10, 'the one before it is held, too');
    assert.equal(watch.nextDue(), Number.POSITIVE_INFINITY);
  });

  it('is that they have dropped the tarballs within the deadline, from when they showed that they hold it', () => {
    const watch = new WithdrawalWatch();
    watch.note(withdrawal(7, 0));
    watch.held('early', 8, 0);
    watch.held('late', 7, 0);
    watch.held('late', 100, HOUR / 2);
    watch.held('late', 101, HOUR);
    const asked = (host: string, now: number) => watch.dropped(host, now).map(({ subject }) => subject);
    assert.deepEqual([asked('early', HOUR), asked('early', HOUR + 1)], [[], ['alpha@7']]);
    assert.deepEqual([asked('late', HOUR + 1), asked('late', 1.5 * HOUR + 1)], [[], ['alpha@7']]);
    assert.deepEqual(asked('silent', 100 * HOUR), []);
  });

  it('is about the latest withdrawals, and of them a new watch can be told', () => {
    const watch = new WithdrawalWatch();
    for (let index = 0; index < 100; index++) watch.note(withdrawal(index, 0));
    watch.held('host', 1_000, 0);
    const again = new WithdrawalWatch();
    for (const one of watch.recent()) again.note(one);
    assert.equal(watch.dropped('host', HOUR + 1).length, 64);
    assert.deepEqual(again.recent(), watch.recent());
    assert.deepEqual([watch.mustHold(HOUR), again.mustHold(HOUR)], [100, 100]);
  });
});
