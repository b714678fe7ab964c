import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex } from '../../src/core/bytes.ts';
import { checkMarkAsHost, checkMarkAsOrigin, MARK_SKEW_MS, makeMark, markKey, readMark } from '../../src/core/mark.ts';

const vector = JSON.parse(readFileSync(new URL('../vectors/mark.json', import.meta.url), 'utf8'));
const originSecret = fromHex(vector.originSecret);
const hostKey = fromHex(vector.hostKey);
const { sha512, hostId, doorId, expires, mark } = vector;
const facts = { hostId, doorId, expires };

test('the golden mark is made, read and believed', () => {
  assert.deepEqual(markKey(fromHex(vector.sharedSecret), vector.logName), hostKey);
  assert.equal(makeMark({ ...facts, sha512 }, originSecret, hostKey), mark);
  assert.deepEqual(checkMarkAsOrigin(mark, sha512, originSecret, expires - 1), facts);
  assert.deepEqual(checkMarkAsHost(mark, sha512, hostId, hostKey, expires - 1), facts);
});

test('parts of a second are cut off before they are signed', () => {
  assert.equal(makeMark({ ...facts, expires: expires + 999, sha512 }, originSecret, hostKey), mark);
});

test('the origin takes its marks until they expire, a host a little longer for the sake of its clock', () => {
  assert.equal(checkMarkAsOrigin(mark, sha512, originSecret, expires), null);
  assert.deepEqual(checkMarkAsHost(mark, sha512, hostId, hostKey, expires + MARK_SKEW_MS - 1), facts);
  assert.equal(checkMarkAsHost(mark, sha512, hostId, hostKey, expires + MARK_SKEW_MS), null);
});

test('a mark is good for one blob, one host and one pair of keys', () => {
  const now = expires - 1;
  const otherHash = 'cd'.repeat(64);
  assert.equal(checkMarkAsOrigin(mark, otherHash, originSecret, now), null);
  assert.equal(checkMarkAsOrigin(mark, sha512, hostKey, now), null);
  assert.equal(checkMarkAsHost(mark, otherHash, hostId, hostKey, now), null);
  assert.equal(checkMarkAsHost(mark, sha512, 'fedcba9876543210', hostKey, now), null);
  assert.equal(checkMarkAsHost(mark, sha512, hostId, originSecret, now), null);
});

test('a host that knows its key cannot forge what the origin believes', () => {
  const forged = makeMark({ ...facts, sha512 }, hostKey, hostKey);
  assert.deepEqual(checkMarkAsHost(forged, sha512, hostId, hostKey, expires - 1), facts);
  assert.equal(checkMarkAsOrigin(forged, sha512, originSecret, expires - 1), null);
});

test('one changed bit anywhere is not believed by both', () => {
  const bytes = Buffer.from(mark, 'base64url');
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const text = changed.toString('base64url');
    const origin = checkMarkAsOrigin(text, sha512, originSecret, 0);
    const host = checkMarkAsHost(text, sha512, hostId, hostKey, 0);
    assert.ok(origin === null || host === null, `bit ${bit}`);
    // Each MAC is of interest to its own reader alone.
    assert.equal(origin === null, bit < 33 * 8, `bit ${bit} at the origin`);
    assert.equal(host === null, bit < 17 * 8 || bit >= 33 * 8, `bit ${bit} at the host`);
  }
});

test('anybody can read where a mark comes from', () => {
  assert.equal(readMark(mark)?.doorId, doorId);
  assert.equal(readMark(mark)?.hostId, hostId);
});

test('what is not exactly a mark is none', () => {
  const wrong = [
    '',
    'x',
    mark.slice(1),
    `${mark}A`,
    `${mark}=`,
    `${mark} `,
    ` ${mark}`,
    mark.replace('W', '+'),
    mark.slice(0, -1),
  ];
  // The last character carries four bits that no byte uses.
  for (const text of [...wrong, `${mark.slice(0, -1)}x`, `AQ${mark.slice(2)}\n`, mark.toLowerCase()]) {
    const read = readMark(text);
    assert.ok(read === null || read.hostId !== hostId, JSON.stringify(text));
    assert.equal(checkMarkAsOrigin(text, sha512, originSecret, 0), null);
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => readMark(text) === null || text.length === 66),
  );
});

test('every mark is read back', () => {
  const id = (length: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${length}}$`));
  fc.assert(
    fc.property(id(16), id(8), fc.nat(0xffffffff), (host, door, seconds) => {
      const about = { hostId: host, doorId: door, expires: seconds * 1000 };
      const text = makeMark({ ...about, sha512 }, originSecret, hostKey);
      assert.deepEqual(checkMarkAsOrigin(text, sha512, originSecret, -1), about);
      assert.deepEqual(checkMarkAsHost(text, sha512, host, hostKey, -1), about);
    }),
  );
});
