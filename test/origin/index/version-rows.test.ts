import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { finish } from '../../../src/core/steps.ts';
import type { VersionRow } from '../../../src/core/tables.ts';
import { packRows } from '../../../src/origin/index/version-rows.ts';

const hex = (digits: number) =>
  fc.array(fc.constantFrom(...'0123456789abcdef'), { minLength: digits, maxLength: digits }).map((all) => all.join(''));
const pinned = fc.oneof(
  hex(128).map((digits) => `sha512:${digits}`),
  hex(40).map((digits) => `sha1:${digits}`),
);
const row: fc.Arbitrary<VersionRow> = fc.record(
  {
    state: fc.constantFrom('listed' as const, 'learned' as const, 'withdrawn' as const),
    manifest: hex(64),
    cut: fc.nat(),
    file: fc.string({ unit: 'binary' }),
    abbreviated: hex(64),
    abbreviatedCut: fc.nat(),
    pinned,
    time: fc.option(fc.string({ unit: 'binary' })),
    reason: fc.option(fc.string({ unit: 'binary' })),
  },
  { noNullPrototype: true },
);
const version = fc.oneof(fc.constantFrom('1.0.0', '1.0.0-rc.1', '1.0.10'), fc.string({ maxLength: 300 }));
const rows = fc.uniqueArray(fc.tuple(version, row), { selector: ([name]) => name, maxLength: 20 });

test('every row comes out as it went in, and no other version is found', () => {
  fc.assert(
    fc.property(rows, version, (all, other) => {
      const packed = finish(packRows(all, []));
      for (const [name, expected] of all) assert.deepEqual(packed.get(name), expected);
      assert.equal(packed.has(other), new Map(all).has(other));
      assert.equal(packed.size, all.length);
      assert.deepEqual(
        finish(packed.unpack()),
        new Map(all.toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))),
      );
    }),
  );
});

test('versions are told in the order of the head, sorted, or by state', () => {
  const made = (state: VersionRow['state']): VersionRow => ({ ...sample, state });
  const [sample] = fc.sample(row, 1) as [VersionRow];
  const all = [
    ['2.0.0', made('listed')],
    ['1.0.0', made('listed')],
    ['1.5.0', made('withdrawn')],
    ['3.0.0', made('learned')],
  ] as const;
  const packed = finish(packRows(all, ['2.0.0', '1.0.0']));
  assert.deepEqual(packed.order(), ['2.0.0', '1.0.0']);
  assert.deepEqual(packed.versions(), ['1.0.0', '1.5.0', '2.0.0', '3.0.0']);
  assert.deepEqual(packed.inState('listed'), ['1.0.0', '2.0.0']);
  assert.deepEqual(packed.inState('learned'), ['3.0.0']);
});

test('ten thousand ordinary rows take less than 240 bytes each', () => {
  const [sample] = fc.sample(row, 1) as [VersionRow];
  const ordinary = { ...sample, file: 'package-1.0.0.tgz', time: '2020-01-01T00:00:00.000Z', reason: null };
  const all = Array.from({ length: 10_000 }, (_, at) => [`1.0.${at}`, ordinary] as const);
  const packed = finish(
    packRows(
      all,
      all.map(([name]) => name),
    ),
  );
  assert.ok(packed.bytes < 240 * all.length, `${packed.bytes} bytes`);
});
