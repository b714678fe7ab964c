import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { foldNames } from '../../../src/core/fold-names.ts';
import { sha512Hex } from '../../../src/core/hash.ts';
import { appendLeaves, EMPTY_TREE, headOf } from '../../../src/core/log-tree.ts';
import { leafHash } from '../../../src/core/merkle.ts';
import type { TombstoneRow } from '../../../src/core/tables.ts';
import { createMetrics } from '../../../src/io/metrics.ts';
import { openTombstones, type TombstoneStep } from '../../../src/mirror/blobs/tombstones.ts';
import { MemoryBlobStore } from '../../support/memory-blob-store.ts';
import { MemoryMetadataStore } from '../../support/memory-metadata-store.ts';
import { SignedLog } from '../../support/signed-log.ts';

const BYTES = Buffer.from('a tarball');
const HEX = sha512Hex(BYTES);
const ID = { algorithm: 'sha512', hex: HEX } as const;
const row: TombstoneRow = { name: 'alpha', version: '1.0.0', reason: 'malware', since: 1_000, deadline: 3_600 };
const listing = { name: 'beta', version: '1.0.0', index: 7 };

async function graveyard(step?: (name: TombstoneStep) => void) {
  const [index, blobs] = [new MemoryMetadataStore(), new MemoryBlobStore()];
  await blobs.putMany([{ id: ID, bytes: BYTES }]);
  let time = 1_000;
  const parts = { index, blobs, metrics: createMetrics('mirror'), now: () => time, ...(step ? { step } : {}) };
  const tombstones = await openTombstones(parts);
  /** Has the log withdraw the other package as well, in its entry 8. */
  const withdrawOther = async () => {
    const entry = { kind: 'withdraw', name: 'beta', version: '*', deadline: 3_600, reason: 'malware' } as const;
    const { entries } = new SignedLog().growTo(8).add(entry);
    const { tree, tiles } = appendLeaves(EMPTY_TREE, entries.map(leafHash));
    await index.append(entries, { from: headOf(EMPTY_TREE), to: headOf(tree), tiles });
    await index.fold(await foldNames(entries, 0, index), 0, entries.length);
  };
  const pass = (ms: number) => {
    time += ms;
  };
  return {
    index,
    blobs,
    tombstones,
    withdrawOther,
    pass,
    open: () => openTombstones({ ...parts, step: () => undefined }),
  };
}

describe('a tombstone', () => {
  it('is there before the tarball is gone', async () => {
    const seen: (string | boolean)[] = [];
    const { tombstones, blobs, index } = await graveyard((name) => seen.push(name));
    const bury = tombstones.bury(new Map([[HEX, row]]));
    assert.equal(await bury, 1);
    assert.deepEqual(seen, ['tombstones:written', 'tombstones:removed']);
    assert.deepEqual([await tombstones.get(HEX), await blobs.has(ID)], [row, false]);
    assert.equal(await index.get('setting', 'burying'), null);
    assert.equal(await tombstones.bury(new Map([[HEX, row]])), 0, 'nothing is left to remove');
  });

  it('is made good at the next start where a crash came between', async () => {
    const crash = new Error('kill -9');
    const { tombstones, blobs, open } = await graveyard((name) => {
      if (name === 'tombstones:written') throw crash;
    });
    await assert.rejects(tombstones.bury(new Map([[HEX, row]])), crash);
    assert.deepEqual([await tombstones.get(HEX), await blobs.has(ID)], [row, true]);
    const again = await open();
    assert.deepEqual([await again.get(HEX), await blobs.has(ID)], [row, false]);
  });

  it('is lifted by what the log lists, unless that was withdrawn as well', async () => {
    const { tombstones, withdrawOther } = await graveyard();
    await tombstones.bury(new Map([[HEX, row]]));
    await withdrawOther();
    await tombstones.lift(HEX, listing);
    assert.deepEqual(await tombstones.get(HEX), row);
    await tombstones.lift(HEX, { ...listing, index: 9 });
    assert.equal(await tombstones.get(HEX), null);
  });

  it('takes away what was on its way when it came, and yields to the origin that knew of it', async () => {
    const { tombstones, blobs } = await graveyard();
    await tombstones.stored(HEX, null);
    assert.equal(await blobs.has(ID), true, 'nothing was withdrawn');
    await tombstones.bury(new Map([[HEX, row]]));
    for (const [despite, held] of [
      [null, false],
      [{ ...row, since: 500 }, false],
      [row, true],
    ] as const) {
      await blobs.putMany([{ id: ID, bytes: BYTES }]);
      await tombstones.stored(HEX, despite);
      assert.deepEqual([await blobs.has(ID), (await tombstones.get(HEX)) === null], [held, held]);
    }
  });

  it('is new for as long as the origin’s tables may be behind its log', async () => {
    const { tombstones, pass } = await graveyard();
    pass(10_000);
    assert.equal(tombstones.isSettled(row), false);
    pass(1);
    assert.equal(tombstones.isSettled(row), true);
  });
});
