import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryTables } from '../../src/core/memory-tables.ts';
import { PendingRows, type RowReader } from '../../src/core/pending-rows.ts';
import { change } from '../../src/core/tables.ts';

function writtenRows(): RowReader {
  const tables = new MemoryTables();
  for (const name of ['a', 'b', 'bb']) tables.apply([change('package', name, row(0))]);
  return { get: async (table, key) => tables.get(table, key), scan: async (table, key) => tables.scan(table, key) };
}

function row(seq: number) {
  return { head: null, seq, withdrawn: null };
}

test('pending rows stand over written ones, in single reads and in scans', async () => {
  const rows = new PendingRows(writtenRows());
  for (const one of [change('package', 'b', row(1)), change('package', 'bc', row(2)), change('package', 'a', null)]) {
    rows.add(one);
  }
  assert.equal(await rows.get('package', 'a'), null);
  assert.deepEqual(await rows.get('package', 'b'), row(1));
  assert.deepEqual(await rows.get('package', 'bb'), row(0));
  const found = await rows.scan('package', 'b');
  assert.deepEqual(Object.fromEntries(found.map(({ key, row: { seq } }) => [key, seq])), { b: 1, bb: 0, bc: 2 });
});

test('the last change of a row is the one that counts, and all come by key', () => {
  const rows = new PendingRows(writtenRows());
  for (const [name, seq] of [
    ['z', 1],
    ['c', 2],
    ['z', 3],
  ] as const)
    rows.add(change('package', name, row(seq)));
  assert.deepEqual(rows.all(), [change('package', 'c', row(2)), change('package', 'z', row(3))]);
});

test('a table that is empty is asked once whether it is, and never searched', async () => {
  const asked: string[] = [];
  const rows = new PendingRows({
    get: async () => null,
    scan: async (table) => assert.fail(`${table} was searched`),
    count: async (table) => asked.push(table) - 1,
  });
  assert.deepEqual(await rows.scan('ahead', 'a'), []);
  assert.deepEqual(await rows.scan('ahead', 'b'), []);
  assert.deepEqual(asked, ['ahead']);
});
