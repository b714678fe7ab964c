import assert from 'node:assert/strict';
import { test } from 'node:test';
import { text, utf8 } from '../../src/core/bytes.ts';
import { holdBack, judgeChange, publishableTags, type Side } from '../../src/core/learn.ts';

const sha512 = (digit: string) => ({ algorithm: 'sha512', hex: digit.repeat(128) }) as const;
const sha1 = (digit: string) => ({ algorithm: 'sha1', hex: digit.repeat(40) }) as const;
const measuredAs = (digit: string) => ({ sha512: digit.repeat(128), size: 1, chunks: '', list: '' });

const pinned: Side = {
  pinned: sha512('a'),
  shasum: '1'.repeat(40),
  time: '2024-01-01T00:00:00.000Z',
  pins: { dependencies: { a: '1' }, scripts: { test: 'x' } },
  value: { description: 'old' },
  signed: false,
};

test('a version with a usable hash and a good signature may be pinned', () => {
  assert.equal(holdBack(sha512('a'), { ok: true }, { hasKeys: true, signs: true }), null);
});

test('a version without a hash is held back whatever signs it', () => {
  assert.equal(holdBack(null, { ok: true }, { hasKeys: true, signs: true }), 'no-hash');
});

const signatureCases = [
  { reason: 'unsigned', habit: { hasKeys: false, signs: false }, held: null },
  { reason: 'unsigned', habit: { hasKeys: true, signs: false }, held: null },
  { reason: 'unsigned', habit: { hasKeys: true, signs: true }, held: 'unsigned' },
  { reason: 'unknown-key', habit: { hasKeys: false, signs: false }, held: null },
  { reason: 'unknown-key', habit: { hasKeys: true, signs: false }, held: 'unknown-key' },
  { reason: 'bad-signature', habit: { hasKeys: true, signs: false }, held: 'bad-signature' },
  { reason: 'expired-key', habit: { hasKeys: true, signs: true }, held: 'expired-key' },
] as const;

for (const { reason, habit, held } of signatureCases) {
  test(`${reason}, keys ${habit.hasKeys}, known to sign ${habit.signs}: ${held ?? 'pinned'}`, () => {
    assert.equal(holdBack(sha512('a'), { ok: false, reason }, habit), held);
  });
}

const changeCases: [title: string, theirs: Partial<Side>, expected: string, measured?: string][] = [
  ['nothing but the spelling changed', {}, 'keep'],
  ['members in another order', { pins: { scripts: { test: 'x' }, dependencies: { a: '1' } } }, 'keep'],
  ['a deprecation', { value: { description: 'old', deprecated: 'use b' } }, 'follow'],
  ['another hash', { pinned: sha512('b') }, 'refuse'],
  ['another shasum beside the same integrity', { shasum: '2'.repeat(40) }, 'refuse'],
  ['another publish time', { time: '2025-01-01T00:00:00.000Z' }, 'refuse'],
  ['the same time, spelled otherwise', { time: '2024-01-01T00:00:00.000+00:00' }, 'keep'],
  ['no time any more', { time: null }, 'keep'],
  ['a new dependency', { pins: { dependencies: { a: '1', b: '1' }, scripts: { test: 'x' } } }, 'refuse'],
  ['an install script where there was none', { pins: { ...pinned.pins, hasInstallScript: true } }, 'refuse'],
  ['no hash any more', { pinned: null }, 'refuse'],
  ['another hash, signed, where ours is not', { pinned: sha512('b'), signed: true }, 'dispute'],
  ['only the weaker hash is shown', { pinned: sha1('1'), value: { description: 'new' } }, 'keep'],
];

for (const [title, theirs, expected] of changeCases) {
  test(`the upstream shows ${title}: ${expected}`, () => {
    assert.equal(judgeChange(pinned, { ...pinned, ...theirs }, null).do, expected);
  });
}

test('a refusal names every pinned value that differs', () => {
  const theirs = { ...pinned, pinned: sha512('b'), pins: { scripts: { test: 'x' } } };
  const judgement = judgeChange(pinned, theirs, null);
  assert.equal(judgement.do, 'refuse');
  assert.match('detail' in judgement ? judgement.detail : '', /another hash, dependencies/);
});

test('a signed pin is not disputed by another signed value', () => {
  const theirs = { ...pinned, pinned: sha512('b'), signed: true };
  assert.equal(judgeChange({ ...pinned, signed: true }, theirs, null).do, 'refuse');
});

const weak: Side = { ...pinned, pinned: sha1('1') };
const stronger: Side = { ...pinned, value: { description: 'old', integrity: 'sha512' } };

test('a stronger hash waits until the bytes were measured', () => {
  assert.equal(judgeChange(weak, stronger, null).do, 'keep');
});
test('a stronger hash that the measured bytes have is taken', () => {
  assert.equal(judgeChange(weak, stronger, measuredAs('a')).do, 'follow');
});
test('a stronger hash that the measured bytes have not is refused', () => {
  assert.equal(judgeChange(weak, stronger, measuredAs('b')).do, 'refuse');
});

const tagsOf = (tags: Record<string, string>, listed: string[], before: Record<string, string> | null = null) =>
  text(publishableTags({ tags, bytes: utf8('the bytes themselves') }, new Set(listed), before));

test('tags that all point at listed versions are published byte for byte', () => {
  assert.equal(tagsOf({ latest: '1.0.0' }, ['1.0.0']), 'the bytes themselves');
});
test('a tag whose version is held back is left out', () => {
  assert.equal(tagsOf({ latest: '1.0.0', next: '2.0.0' }, ['1.0.0']), '{"latest":"1.0.0"}');
});
test('a tag whose version is held back stays where it was', () => {
  assert.equal(tagsOf({ latest: '2.0.0' }, ['0.9.0', '1.0.0'], { latest: '0.9.0' }), '{"latest":"0.9.0"}');
});
test('latest falls to the highest listed release', () => {
  assert.equal(tagsOf({ latest: '3.0.0' }, ['1.9.0', '1.10.0', '2.0.0-rc.1']), '{"latest":"1.10.0"}');
});
test('latest falls to a pre-release where there is nothing else', () => {
  assert.equal(tagsOf({ latest: '3.0.0' }, ['2.0.0-rc.1', '2.0.0-rc.2']), '{"latest":"2.0.0-rc.2"}');
});
test('a tag named __proto__ is a tag like any other', () => {
  const tags = JSON.parse('{"__proto__":"1.0.0","latest":"9.9.9"}') as Record<string, string>;
  const parsed = JSON.parse(tagsOf(tags, ['1.0.0'])) as object;
  assert.deepEqual(Object.entries(parsed), [
    ['__proto__', '1.0.0'],
    ['latest', '1.0.0'],
  ]);
});
