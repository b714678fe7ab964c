import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { utf8 } from '../../src/core/bytes.ts';
import { sha256Hex, sha512Hex } from '../../src/core/hash.ts';
import { type HostView, rendezvous } from '../../src/core/selection.ts';

function host(id: string): HostView {
  const url = `https://${id}.example`;
  const known = { present: true, healthy: true, approved: true, private: false };
  return { id, url, hostname: `${id}.example`, scheme: 'https', ...known };
}

const hosts = Array.from({ length: 8 }, (_, index) => host(sha256Hex(utf8(`host ${index}`)).slice(0, 16)));
const blob = (index: number) => sha512Hex(utf8(`blob ${index}`));

test('the highest score by the stated formula wins', () => {
  // Computed independently with Python's integers: 5210ef24, f5270f6f, 591e6234, db5ed17d.
  const four = ['0000000000000001', '0000000000000002', '0123456789abcdef', 'fedcba9876543210'].map(host);
  assert.equal(rendezvous(four, 'ab'.repeat(64))?.id, '0000000000000002');
  assert.equal(rendezvous(four.toSpliced(1, 1), 'ab'.repeat(64))?.id, 'fedcba9876543210');
  assert.equal(rendezvous(four.slice(0, 1).concat(four.slice(2, 3)), 'ab'.repeat(64))?.id, '0123456789abcdef');
});

test('of equal scores the smaller id wins, in either order', () => {
  // Equal in the first 16 digits, which are all that counts.
  const twins = [host('0123456789abcdefb'), host('0123456789abcdefa')];
  assert.equal(rendezvous(twins, blob(0))?.id, '0123456789abcdefa');
  assert.equal(rendezvous(twins.toReversed(), blob(0))?.id, '0123456789abcdefa');
});

test('the same list asked again gives the same answers as a new one', () => {
  for (let index = 0; index < 50; index++) {
    assert.equal(rendezvous(hosts, blob(index)), rendezvous([...hosts], blob(index)));
  }
});

test('with no host there is none to choose', () => assert.equal(rendezvous([], blob(0)), null));

test('the choice does not depend on the order of the list', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(hosts, { minLength: 1 }), fc.nat(), (some, index) => {
      assert.equal(rendezvous(some, blob(index)), rendezvous(some.toReversed(), blob(index)));
    }),
  );
});

test('when a host goes, only its own blobs move', () => {
  for (let index = 0; index < 300; index++) {
    const before = rendezvous(hosts, blob(index));
    const gone = hosts[index % hosts.length];
    const after = rendezvous(
      hosts.filter((other) => other !== gone),
      blob(index),
    );
    if (before !== gone) assert.equal(after, before);
  }
});

function spreadOver(some: readonly HostView[], blobs: number): number[] {
  const counts = new Map(some.map(({ id }) => [id, 0]));
  for (let index = 0; index < blobs; index++) {
    const id = rendezvous(some, blob(index))?.id ?? '';
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return [...counts.values()];
}

// With 100 expected each, a fair spread strays by less than six standard deviations (9.4 to 9.9).
const isFair = (count: number) => Math.abs(count - 100) < 56;

test('blobs spread over all hosts', () => {
  const counts = spreadOver(hosts, 800);
  assert.ok(counts.every(isFair), counts.join(' '));
});

test('blobs spread over hosts whose ids differ in one digit only', () => {
  const alike = Array.from({ length: 16 }, (_, index) => index.toString(16));
  for (const ids of [alike.map((digit) => digit.padStart(16, '0')), alike.map((digit) => digit.padEnd(16, '0'))]) {
    const counts = spreadOver(ids.map(host), 1600);
    assert.ok(counts.every(isFair), counts.join(' '));
  }
});

test('each host has each other as its next for some blobs, so that what leaves one spreads over all', () => {
  const [first, ...rest] = hosts as [HostView, ...HostView[]];
  const moved = new Set<string | undefined>();
  for (let index = 0; index < 800; index++) {
    if (rendezvous(hosts, blob(index)) === first) moved.add(rendezvous(rest, blob(index))?.id);
  }
  assert.equal(moved.size, rest.length);
});
