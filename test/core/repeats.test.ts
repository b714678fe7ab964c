import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { REPEAT_LIMITS, RepeatWindow } from '../../src/core/repeats.ts';

const net = '203.0.113.0/24';
const other = '198.51.100.0/24';
const hash = 'ab'.repeat(64);
const { windowMs, avoidMs, bytesPerNetwork } = REPEAT_LIMITS;

test('two minutes, ten minutes and a gigabyte are the defaults', () => {
  assert.deepEqual([windowMs, avoidMs, bytesPerNetwork], [120_000, 600_000, 1_000_000_000]);
});

test('the same network, agent and tarball within the window is a repeat', () => {
  const repeats = new RepeatWindow();
  const first = { repeat: false, hostId: null };
  assert.deepEqual(repeats.seen(net, 'npm', hash, 0), first);
  assert.deepEqual(repeats.seen(other, 'npm', hash, 1), first);
  assert.deepEqual(repeats.seen(net, 'pnpm', hash, 2), first);
  assert.deepEqual(repeats.seen(net, 'npm', 'cd'.repeat(64), 3), first);
  assert.deepEqual(repeats.seen(net, 'npm', hash, windowMs - 1), { repeat: true, hostId: null });
});

test('after the window it is a first request again, and each request begins a window', () => {
  const repeats = new RepeatWindow();
  repeats.seen(net, 'npm', hash, 0);
  assert.equal(repeats.seen(net, 'npm', hash, windowMs).repeat, false);
  assert.equal(repeats.seen(net, 'npm', hash, windowMs + 100_000).repeat, true);
  assert.equal(repeats.seen(net, 'npm', hash, windowMs + 200_000).repeat, true);
});

test('a repeat names the host that the request before was sent to', () => {
  const repeats = new RepeatWindow();
  repeats.seen(net, 'npm', hash, 0);
  repeats.sent(net, 'npm', hash, 'host-1', 0);
  assert.deepEqual(repeats.seen(net, 'npm', hash, 10), { repeat: true, hostId: 'host-1' });
  // That one the origin served.
  assert.deepEqual(repeats.seen(net, 'npm', hash, 20), { repeat: true, hostId: null });
});

test('a network has so many bytes per window, counted from the first of them', () => {
  const repeats = new RepeatWindow({ bytesPerNetwork: 100 });
  assert.equal(repeats.spend(net, 60, 0), true);
  assert.equal(repeats.spend(net, 41, 1), false);
  assert.equal(repeats.spend(net, 40, windowMs - 1), true);
  assert.equal(repeats.spend(net, 1, windowMs - 1), false);
  assert.equal(repeats.spend(other, 100, windowMs - 1), true);
  assert.equal(repeats.spend(net, 100, windowMs), true);
  assert.equal(repeats.spend('fresh', 101, 0), false);
});

test('a host is avoided for one network and ten minutes, anew each time', () => {
  const repeats = new RepeatWindow();
  repeats.avoid(net, 'host-1', 0);
  repeats.avoid(net, 'host-2', 1000);
  assert.deepEqual(repeats.avoided(net, avoidMs - 1), new Set(['host-1', 'host-2']));
  assert.deepEqual(repeats.avoided(net, avoidMs), new Set(['host-2']));
  assert.deepEqual(repeats.avoided(other, 1), new Set());
  repeats.avoid(net, 'host-2', 2000);
  assert.deepEqual(repeats.avoided(net, avoidMs + 1999), new Set(['host-2']));
  assert.deepEqual(repeats.avoided(net, avoidMs + 2000), new Set());
});

test('memory is bounded: the oldest is forgotten first', () => {
  const repeats = new RepeatWindow({ entriesMax: 2 });
  repeats.seen(net, 'npm', 'a', 0);
  repeats.seen(net, 'npm', 'b', 1);
  repeats.seen(net, 'npm', 'c', 2);
  assert.equal(repeats.seen(net, 'npm', 'c', 3).repeat, true);
  assert.equal(repeats.seen(net, 'npm', 'b', 4).repeat, true);
  assert.equal(repeats.seen(net, 'npm', 'a', 5).repeat, false);
});

test('what is asked for again counts as new when the oldest is forgotten', () => {
  const repeats = new RepeatWindow({ entriesMax: 2 });
  for (const [at, sha512] of ['a', 'b', 'a', 'c'].entries()) repeats.seen(net, 'npm', sha512, at);
  assert.equal(repeats.seen(net, 'npm', 'a', 5).repeat, true);
  assert.equal(repeats.seen(net, 'npm', 'b', 6).repeat, false);
});

test('with room enough, it agrees with a record of everything', () => {
  const step = fc.record({
    wait: fc.nat(70_000),
    network: fc.constantFrom(net, other),
    sha512: fc.constantFrom('a', 'b'),
    hostId: fc.option(fc.constantFrom('host-1', 'host-2')),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const repeats = new RepeatWindow();
      const last = new Map<string, { at: number; hostId: string | null }>();
      let now = 0;
      for (const { wait, network, sha512, hostId } of steps) {
        now += wait;
        const before = last.get(network + sha512);
        const repeat = before !== undefined && now < before.at + windowMs;
        const expected = { repeat, hostId: repeat ? before.hostId : null };
        assert.deepEqual(repeats.seen(network, 'npm', sha512, now), expected);
        if (hostId !== null) repeats.sent(network, 'npm', sha512, hostId, now);
        last.set(network + sha512, { at: now, hostId });
      }
    }),
  );
});
