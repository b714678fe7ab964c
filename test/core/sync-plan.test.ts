import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { toHex, utf8 } from '../../src/core/bytes.ts';
import { parseEntry } from '../../src/core/entry.ts';
import { UnreadableEntryError, WrongTileError } from '../../src/core/errors.ts';
import { leafHash, type NodeId, rootHash } from '../../src/core/merkle.ts';
import { checkBundle, checkEnd, nodesOfBundle, readEntries, standingOf, syncSteps } from '../../src/core/sync-plan.ts';
import { SignedLog } from '../support/signed-log.ts';

const root = (byte: number) => new Uint8Array(32).fill(byte);

describe('standingOf', () => {
  it('tells by size, and by root where the sizes are the same', () => {
    const held = { size: 5, root: root(1) };
    assert.equal(standingOf({ size: 4, root: root(1) }, held), 'older');
    assert.equal(standingOf({ size: 6, root: root(1) }, held), 'newer');
    assert.equal(standingOf({ size: 5, root: root(1) }, held), 'same');
    assert.equal(standingOf({ size: 5, root: root(2) }, held), 'forked');
  });
});

describe('syncSteps', () => {
  it('has nothing to do between two equal sizes', () => {
    assert.deepEqual([...syncSteps(300, 300, 4)], []);
  });

  it('begins within a bundle where what is held ends in one', () => {
    assert.deepEqual(
      [...syncSteps(300, 1_100, 2)],
      [
        { from: 300, to: 768, bundles: [1, 2].map((index) => ({ index, width: 256 })) },
        {
          from: 768,
          to: 1_100,
          bundles: [
            { index: 3, width: 256 },
            { index: 4, width: 76 },
          ],
        },
      ],
    );
  });

  it('covers every entry once, whatever the sizes, also above 2^32', () => {
    const start = fc.oneof(fc.nat(2_000), fc.integer({ min: 2 ** 33, max: 2 ** 33 + 2_000 }));
    fc.assert(
      fc.property(start, fc.nat(3_000), fc.integer({ min: 1, max: 5 }), (from, more, bundlesMax) => {
        let at = from;
        for (const step of syncSteps(from, from + more, bundlesMax)) {
          assert.equal(step.from, at);
          assert.ok(step.bundles.length <= bundlesMax && step.bundles.length > 0);
          const [first, last] = [step.bundles[0], step.bundles.at(-1)];
          assert.ok(first && last && first.index * 256 <= at && at < first.index * 256 + first.width);
          assert.equal(last.index * 256 + last.width, step.to);
          at = step.to;
        }
        assert.equal(at, from + more);
      }),
    );
  });
});

describe('checkBundle', () => {
  const log = new SignedLog().growTo(600);
  const hashOf = ({ level, index }: NodeId) =>
    rootHash(log.entries.slice(index * 2 ** level, (index + 1) * 2 ** level).map(leafHash));

  for (const bundle of [
    { index: 1, width: 256 },
    { index: 2, width: 88 },
    { index: 0, width: 1 },
  ]) {
    it(`takes the log's own entries as bundle ${bundle.index} of ${bundle.width}, and nothing else`, () => {
      const from = bundle.index * 256;
      const entries = log.entries.slice(from, from + bundle.width);
      const hashes = nodesOfBundle(bundle).map(hashOf);
      assert.deepEqual(checkBundle(bundle, entries, hashes).map(toHex), entries.map(leafHash).map(toHex));
      const others = [
        entries.slice(1),
        [...entries, utf8('one more')],
        entries.with(-1, utf8('another')),
        ...(bundle.width > 1 ? [entries.toReversed()] : []),
      ];
      for (const wrong of others) assert.throws(() => checkBundle(bundle, wrong, hashes), WrongTileError);
    });
  }
});

describe('readEntries', () => {
  const { entries } = new SignedLog().growTo(5).growTo(8);

  it('gives back what the entries say', () => {
    assert.deepEqual(readEntries(entries, 0, 0), entries.map(parseEntry));
  });

  it('refuses an entry that is dated before the one in front of it', () => {
    const swapped = [...entries.slice(5), ...entries.slice(0, 5)];
    assert.throws(() => readEntries(swapped, 100, 0), /entry 103 of the log.*dated 1000 ms before/);
    assert.throws(() => readEntries(entries, 7, 1_750_000_000_001), /entry 7 .*dated 1 ms before/);
  });

  it('advises an upgrade for a kind that it does not know, and blames the origin for what is none', () => {
    const reading = (text: string) => () => readEntries([utf8(text)], 3, 0);
    assert.throws(reading('commit/9\ntime 1\n'), (error: unknown) => {
      return error instanceof UnreadableEntryError && error.index === 3 && /upgrade this mirror/.test(error.message);
    });
    assert.throws(reading('<html>'), /its origin is at fault/);
    assert.throws(() => readEntries([Uint8Array.of(0xff)], 3, 0), /its origin is at fault/);
  });
});

describe('checkEnd', () => {
  it('takes a commit only', () => {
    checkEnd({ kind: 'commit', time: 1 }, 9);
    const learned = { kind: 'learned', time: 1, name: 'alpha', head: 'ab'.repeat(32) } as const;
    assert.throws(() => checkEnd(learned, 9), /entry 9 .*no commit but learned/);
  });
});
