import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createPresence } from '../../../src/origin/hosts/presence.ts';

function setUp() {
  let clock = 0;
  const changed: string[] = [];
  const presence = createPresence({
    monotonic: () => clock,
    heartbeatSeconds: 10,
    changed: (hostId) => changed.push(`${hostId} ${presence.isPresent(hostId)}`),
  });
  const pass = (ms: number): void => {
    clock += ms;
  };
  return { presence, changed, pass };
}

describe('presence', () => {
  it('is an open feed', () => {
    const { presence, changed } = setUp();
    const leave = presence.arrive('a', () => undefined);
    leave();
    leave();
    assert.deepEqual(changed, ['a true', 'a false']);
  });

  it('is the newest feed: an older one is ended, and its end changes nothing', () => {
    const { presence, changed } = setUp();
    let ended = 0;
    const leaveFirst = presence.arrive('a', () => ended++);
    presence.arrive('a', () => ended++);
    leaveFirst();
    assert.deepEqual([ended, presence.isPresent('a')], [1, true]);
    assert.deepEqual(changed, ['a true', 'a true']);
  });

  it('lasts as long as heartbeats come, three may be missed, and comes back with the next', () => {
    const { presence, changed, pass } = setUp();
    presence.arrive('a', () => undefined);
    pass(30_000);
    assert.equal(presence.isPresent('a'), true);
    presence.heartbeat('a');
    assert.equal(presence.nextEndMs(), 60_000);
    pass(30_001);
    assert.deepEqual([presence.isPresent('a'), presence.nextEndMs()], [false, Number.POSITIVE_INFINITY]);
    presence.heartbeat('a');
    assert.deepEqual(changed, ['a true', 'a true']);
  });

  it('is nothing that a heartbeat alone could give', () => {
    const { presence } = setUp();
    presence.heartbeat('a');
    assert.equal(presence.isPresent('a'), false);
  });

  it('can be taken away', () => {
    const { presence } = setUp();
    let ended = false;
    presence.arrive('a', () => {
      ended = true;
    });
    presence.expel('a');
    presence.expel('a');
    assert.deepEqual([ended, presence.isPresent('a')], [true, false]);
  });
});
