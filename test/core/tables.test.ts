import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { DERIVED_TABLES, type TableName } from '../../src/core/tables.ts';

/** The compiler sees to it that this is every table that is not derived. */
const LOCAL: Record<Exclude<TableName, (typeof DERIVED_TABLES)[number]>, true> = {
  upstream: true,
  'tarball-url': true,
  incident: true,
  application: true,
  suspension: true,
  followed: true,
  listed: true,
  satisfied: true,
  tombstone: true,
  setting: true,
};

/** First column of the table in docs/protocol.md whose head begins with this. */
function listed(head: string): string[] {
  const document = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');
  const [, rows = ''] = document.split(`| ${head} |`);
  const [table = ''] = rows.split('\n\n');
  return [...table.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name = '']) => name).sort();
}

test('docs/protocol.md lists the tables that follow from the log, and those that are local', () => {
  assert.deepEqual(listed('derived table'), [...DERIVED_TABLES].sort());
  assert.deepEqual(listed('local table'), Object.keys(LOCAL).sort());
});
