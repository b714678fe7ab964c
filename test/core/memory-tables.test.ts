import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryTables } from '../../src/core/memory-tables.ts';
import { change, versionKey, versionPrefix } from '../../src/core/tables.ts';

const value = (text: string) => ({ url: text });

test('memory tables find rows by key and by prefix', () => {
  const tables = new MemoryTables();
  tables.apply([
    change('tarball-url', versionKey('a', '1.0.0'), value('1')),
    change('tarball-url', versionKey('a', '1.1.0'), value('2')),
    change('tarball-url', versionKey('ab', '1.0.0'), value('3')),
    change('tarball-url', versionKey('a', '1.0.0'), value('4')),
    change('tarball-url', versionKey('ab', '2.0.0'), null),
  ]);
  const found = (prefix: string) => tables.scan('tarball-url', prefix).map(({ row }) => row.url);
  assert.deepEqual(tables.get('tarball-url', versionKey('a', '1.0.0')), value('4'));
  assert.equal(tables.get('tarball-url', 'a'), null);
  assert.equal(tables.get('setting', 'a'), null);
  assert.deepEqual(found(versionPrefix('a')), ['4', '2']);
  assert.deepEqual(found(versionKey('a', '1.1')), ['2']);
  assert.deepEqual(found('a'), ['4', '2', '3']);
  assert.deepEqual(found(''), ['4', '2', '3']);
  tables.apply([change('tarball-url', versionKey('a', '1.0.0'), null)]);
  assert.deepEqual(found(versionPrefix('a')), ['2']);
});
