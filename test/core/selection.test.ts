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

test('the highest first 8 bytes of SHA-256 over id, line feed and hash win', () => {
  // Computed independently with Python's hashlib: f89854d84b8ee712, 2f709fa9c41bc20b, 8b0685107ebefc21.
  const three = ['0000000000000001', '0000000000000002', '0123456789abcdef'].map(host);
  assert.equal(rendezvous(three, 'ab'.repeat(64))?.id, '0000000000000001');
  assert.equal(rendezvous(three.slice(1), 'ab'.repeat(64))?.id, '0123456789abcdef');
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

test('blobs spread over all hosts', () => {
  const counts = new Map<string, number>();
  for (let index = 0; index < 800; index++) {
    const id = rendezvous(hosts, blob(index))?.id ?? '';
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  // 100 each are expected; a fair spread strays by less than six standard deviations (9.4).
  for (const { id } of hosts) assert.ok(Math.abs((counts.get(id) ?? 0) - 100) < 56, `${id}: ${counts.get(id)}`);
});
