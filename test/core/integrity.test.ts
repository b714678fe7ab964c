import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MalformedError } from '../../src/core/errors.ts';
import { formatPinned, parsePinned, pinnedHashOf, sriOf, sriProves } from '../../src/core/integrity.ts';
import { pinned as anyPinned } from '../support/arbitrary.ts';

const a512 = { algorithm: 'sha512', hex: '0123456789abcdef'.repeat(8) } as const;
const b512 = { algorithm: 'sha512', hex: 'cd'.repeat(64) } as const;
const a1 = { algorithm: 'sha1', hex: 'ab'.repeat(20) } as const;
const b1 = { algorithm: 'sha1', hex: 'cd'.repeat(20) } as const;
const sha256 = `sha256-${Buffer.alloc(32).toString('base64')}`;
const sha384 = `sha384-${Buffer.alloc(48).toString('base64')}`;

const dists = [
  ['sha512 before shasum', { integrity: sriOf(a512), shasum: a1.hex }, a512],
  ['sha512 among others', { integrity: `${sriOf(a1)} ${sha256} ${sriOf(a512)}` }, a512],
  ['sha512 twice the same', { integrity: `${sriOf(a512)} ${sriOf(a512)}` }, a512],
  ['sha512 with an option', { integrity: `${sriOf(a512)}?x` }, a512],
  ['two different sha512', { integrity: `${sriOf(a512)} ${sriOf(b512)}`, shasum: a1.hex }, null],
  ['a short sha512', { integrity: 'sha512-AAAA', shasum: a1.hex }, null],
  ['shasum', { shasum: a1.hex }, a1],
  ['shasum in capitals', { shasum: a1.hex.toUpperCase() }, a1],
  ['sha1 as integrity', { integrity: sriOf(a1) }, a1],
  ['sha1 twice the same', { integrity: sriOf(a1), shasum: a1.hex }, a1],
  ['two different sha1', { integrity: sriOf(a1), shasum: b1.hex }, null],
  ['shasum beside what we do not pin by', { integrity: sha384, shasum: a1.hex }, a1],
  ['only what we do not pin by', { integrity: sha384 }, null],
  ['nothing', {}, null],
  ['empty texts', { integrity: '', shasum: '' }, null],
  ['no texts', { integrity: { sha512: 1 }, shasum: 7 }, null],
  ['a shasum that is none', { shasum: `${a1.hex}00` }, null],
  ['a shasum with other letters', { shasum: 'z'.repeat(40) }, null],
] as const;
for (const [what, dist, expected] of dists) {
  test(`a dist with ${what} is pinned by ${expected?.algorithm ?? 'nothing'}`, () => {
    assert.deepEqual(pinnedHashOf(dist), expected);
  });
}

test('pinned hashes come back as they were, in both spellings', () => {
  fc.assert(fc.property(anyPinned, (pinned) => assert.deepEqual(parsePinned(formatPinned(pinned)), pinned)));
  fc.assert(fc.property(anyPinned, (pinned) => assert.deepEqual(pinnedHashOf({ integrity: sriOf(pinned) }), pinned)));
});

const refused = [
  '',
  'sha512',
  `sha512:${a1.hex}`,
  `SHA1:${a1.hex}`,
  `sha1:${a1.hex} `,
  `sha1:${a1.hex}:x`,
  `sha256:${'0'.repeat(64)}`,
];
for (const text of [...refused, `sha1:${a1.hex.toUpperCase()}`, `toString:${a1.hex}`]) {
  test(`${JSON.stringify(text)} is no pinned hash`, () => assert.throws(() => parsePinned(text), MalformedError));
}

const proofs = [
  [sriOf(a512), true],
  [`${sriOf(a512)}?option`, true],
  [`${sha256} ${sriOf(a512)} ${sriOf(a1)}`, true],
  [sriOf(b512), false],
  [`${sriOf(a512)} ${sriOf(b512)}`, false],
  [`${sriOf(b512)} ${sriOf(a512)}`, false],
  [sriOf(a512).toLowerCase(), false],
  [sriOf(a512).replace(/=+$/, ''), false],
  [sriOf(a1), false],
  [sha384, false],
  ['', false],
  ['sha512', false],
] as const;
for (const [sri, expected] of proofs) {
  test(`${sri.slice(0, 40)}… ${expected ? 'proves' : 'does not prove'} the pinned bytes`, () => {
    assert.equal(sriProves(sri, a512), expected);
  });
}

test('sha1 proves nothing, even to a client that checks it', () => assert.ok(!sriProves(sriOf(a1), a1)));
