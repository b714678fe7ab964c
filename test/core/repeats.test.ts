import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  BACK_MIN,
  BACK_SHARE_MIN,
  HASTE_MS,
  HASTE_WAIT_MS,
  LATE_MS,
  REPEAT_LIMITS,
  RepeatWindow,
} from '../../src/core/repeats.ts';

const net = '203.0.113.0/24';
const other = '198.51.100.0/24';
const hash = 'ab'.repeat(64);
const { windowMs, avoidMs, bytesPerNetwork } = REPEAT_LIMITS;

test('two minutes, ten minutes and a gigabyte are the defaults', () => {
  assert.deepEqual([windowMs, avoidMs, bytesPerNetwork], [120_000, 600_000, 1_000_000_000]);
});

test('the same network, agent and tarball within the window is a repeat', () => {
  const repeats = new RepeatWindow();
  const first = { repeat: false, hostId: null, waitMs: 0, doubted: false };
  assert.deepEqual(repeats.seen(net, 'npm', hash, 0), first);
  assert.deepEqual(repeats.seen(other, 'npm', hash, 1), first);
  assert.deepEqual(repeats.seen(net, 'pnpm', hash, 2), first);
  assert.deepEqual(repeats.seen(net, 'npm', 'cd'.repeat(64), 3), first);
  assert.deepEqual(repeats.seen(net, 'npm', hash, windowMs - 1), {
    repeat: true,
    hostId: null,
    waitMs: 0,
    doubted: false,
  });
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
  assert.deepEqual(repeats.seen(net, 'npm', hash, 10), {
    repeat: true,
    hostId: 'host-1',
    waitMs: HASTE_WAIT_MS,
    doubted: false,
  });
  // That one the origin served.
  assert.deepEqual(repeats.seen(net, 'npm', hash, 20), { repeat: true, hostId: null, waitMs: 0, doubted: false });
});

test('a repeat waits if it comes soon after it was sent to a host, and never later', () => {
  for (const [afterMs, waitMs] of [
    [0, HASTE_WAIT_MS],
    [HASTE_MS - 1, HASTE_WAIT_MS],
    [HASTE_MS, 0],
  ] as const) {
    const repeats = new RepeatWindow();
    sendTo(repeats, net, hash, 'host-1', 0);
    assert.equal(repeats.seen(net, 'npm', hash, afterMs).waitMs, waitMs);
  }
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

/** What is sent to host-1 for this network at once, and comes back from there so much later; names are tarballs. */
const comings: [title: string, sent: string[], back: string[], afterMs: number, avoided: boolean][] = [
  ['one that comes back at once', ['a'], ['a'], 1, false],
  ['two that come back at once', ['a', 'b'], ['a', 'b'], LATE_MS - 1, false],
  ['three that come back at once', ['a', 'b', 'c'], ['a', 'b', 'c'], 1, true],
  ['two of which one comes back for ever', ['a', 'b'], ['a', 'b', 'b', 'b', 'b'], 1, false],
  ['three of thirty', names(30), ['a0', 'a10', 'a20'], 1, true],
  ['three of thirty-one', names(31), ['a0', 'a10', 'a20'], 1, false],
  ['the first, on which a run of npm failed', ['a'], ['a'], LATE_MS, true],
  ['one of ten, late', names(10), ['a9'], LATE_MS, true],
  ['one of eleven, late', names(11), ['a9'], LATE_MS, false],
  ['four of 350 at the end, as npm does', names(350), ['a337', 'a337', 'a343', 'a353', 'a345', 'a343'], 1, false],
  ['the same over a slow line', names(350), ['a337', 'a337', 'a343', 'a353', 'a345', 'a343'], 20_000, false],
  ['the last 15 of 350, as after a cut', names(350), names(350).slice(-15), 2_000, true],
  ['all of 350', names(350), names(350), 2_000, true],
];

for (const [title, sent, back, afterMs, avoided] of comings) {
  test(`a host is ${avoided ? 'avoided' : 'still chosen'} after ${title}`, () => {
    const repeats = new RepeatWindow();
    for (const sha512 of sent) sendTo(repeats, net, sha512, 'host-1', 0);
    for (const sha512 of back) repeats.seen(net, 'npm', sha512, afterMs);
    assert.deepEqual([...repeats.avoided(net, afterMs)], avoided ? ['host-1'] : []);
    assert.deepEqual([...repeats.avoided(other, afterMs)], []);
  });
}

test('that a network begins to avoid a host is told once, and how many do as long as they do', () => {
  const repeats = new RepeatWindow();
  const told = (network: string, at: number) => {
    for (const sha512 of names(4)) sendTo(repeats, network, sha512, 'host-1', at);
    return names(4).map((sha512) => repeats.seen(network, 'npm', sha512, at + 1).doubted);
  };
  assert.deepEqual(told(net, 0), [false, false, true, false]);
  assert.deepEqual(told(other, 1_000), [false, false, true, false]);
  repeats.avoid(other, 'host-2', 1_000);
  assert.deepEqual(Object.fromEntries(repeats.avoidedBy(2_000)), { 'host-1': 2, 'host-2': 1 });
  assert.deepEqual(Object.fromEntries(repeats.avoidedBy(avoidMs + 1)), { 'host-1': 1, 'host-2': 1 });
  assert.deepEqual(told(net, avoidMs + 1), [false, false, true, false]);
});

test('tarballs count against the host and for the network that they were sent to and for', () => {
  const repeats = new RepeatWindow();
  for (const [index, sha512] of names(6).entries()) sendTo(repeats, net, sha512, `host-${index % 3}`, 1);
  for (const sha512 of names(6)) sendTo(repeats, other, sha512, 'host-3', 1);
  for (const sha512 of names(6)) repeats.seen(net, 'npm', sha512, 2);
  for (const sha512 of names(2)) repeats.seen(other, 'npm', sha512, 2);
  assert.deepEqual([...repeats.avoided(net, 3), ...repeats.avoided(other, 3)], []);
});

test('what came back earlier than a window ago is forgotten', () => {
  const repeats = new RepeatWindow();
  for (const sha512 of names(3)) sendTo(repeats, net, sha512, 'host-1', 0);
  for (const sha512 of names(2)) repeats.seen(net, 'npm', sha512, 1);
  sendTo(repeats, net, 'late', 'host-1', windowMs);
  repeats.seen(net, 'npm', 'late', windowMs + 1);
  assert.deepEqual([...repeats.avoided(net, windowMs + 2)], []);
});

test('one tarball asked for by several kinds of clients is one', () => {
  const repeats = new RepeatWindow();
  for (const agent of ['npm', 'pnpm', 'npm-6']) {
    repeats.sent(net, agent, 'a', 'host-1', 0);
    repeats.seen(net, agent, 'a', 1);
  }
  assert.deepEqual([...repeats.avoided(net, 2)], []);
});

test('strikes against a host are counted once a second', () => {
  const repeats = new RepeatWindow();
  const at = [0, 1, 999, 1000, 1500, 2000];
  assert.deepEqual(
    at.map((now) => repeats.strikes('host-1', now)),
    [true, false, false, true, false, true],
  );
  assert.equal(repeats.strikes('host-2', 1), true);
});

test('however many come back, it takes several or a late one, and a share of all that were sent', () => {
  const anyBack = fc.uniqueArray(fc.record({ tarball: fc.nat(59), late: fc.boolean() }), {
    selector: ({ tarball }) => tarball,
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), anyBack, (count, anyOfThem) => {
      const repeats = new RepeatWindow();
      const back = anyOfThem.filter(({ tarball }) => tarball < count);
      for (const late of [true, false]) {
        const [at, later] = [late ? 0 : LATE_MS, LATE_MS + 1];
        const ofThese = (index: number) => back.find(({ tarball }) => tarball === index)?.late ?? false;
        for (const [index, sha512] of names(count).entries()) {
          if (ofThese(index) === late) sendTo(repeats, net, sha512, 'host-1', at);
        }
        if (!late) for (const { tarball } of back) repeats.seen(net, 'npm', `a${tarball}`, later);
      }
      const isSign = back.length >= BACK_MIN || back.some(({ late }) => late);
      assert.equal(repeats.avoided(net, LATE_MS + 2).size, isSign && back.length >= count * BACK_SHARE_MIN ? 1 : 0);
    }),
  );
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
        const sentTo = repeat ? before.hostId : null;
        const waitMs = sentTo !== null && now - (before?.at ?? 0) < HASTE_MS ? HASTE_WAIT_MS : 0;
        const expected = { repeat, hostId: sentTo, waitMs };
        const { doubted: _, ...said } = repeats.seen(network, 'npm', sha512, now);
        assert.deepEqual(said, expected);
        if (hostId !== null) repeats.sent(network, 'npm', sha512, hostId, now);
        last.set(network + sha512, { at: now, hostId });
      }
    }),
  );
});

/** `a0`, `a1`, … */
function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `a${index}`);
}

function sendTo(repeats: RepeatWindow, network: string, sha512: string, hostId: string, now: number): void {
  repeats.seen(network, 'npm', sha512, now);
  repeats.sent(network, 'npm', sha512, hostId, now);
}
