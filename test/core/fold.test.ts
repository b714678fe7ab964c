import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8 } from '../../src/core/bytes.ts';
import { type Entry, formatEntry } from '../../src/core/entry.ts';
import { foldEntries } from '../../src/core/fold.ts';
import { sha256Hex } from '../../src/core/hash.ts';
import { formatVersionEntry } from '../../src/core/head.ts';
import { MemoryTables } from '../../src/core/memory-tables.ts';
import type { TableName } from '../../src/core/tables.ts';
import { pinKey, versionKey } from '../../src/core/tables.ts';

const blobs = new Map<string, Uint8Array>();
const hash = 'a'.repeat(64);

/** Stores the version entry of a tarball, of which only the hash's digit matters; answers with its hash. */
function line(version: string, digit: string): string {
  const pinned = { algorithm: 'sha512', hex: digit.repeat(128) } as const;
  const entry = { version, manifest: hash, cut: 0, file: 'a.tgz', abbreviated: hash, abbreviatedCut: 0, pinned };
  const bytes = utf8(formatVersionEntry(entry));
  blobs.set(sha256Hex(bytes), bytes);
  return sha256Hex(bytes);
}

const learn = (version: string, digit: string): Entry => ({
  ...{ kind: 'learned-version', time: 1, name: 'a', version, entry: line(version, digit) },
});
const repin = (version: string, digit: string): Entry => ({
  ...{ kind: 'repin', time: 1, name: 'a', version, entry: line(version, digit), reason: 'the author says so' },
});

async function tablesOf(entries: readonly Entry[]): Promise<MemoryTables> {
  const tables = new MemoryTables();
  const reader = {
    blob: async (sha256: string) => blobs.get(sha256) ?? assert.fail(`no blob ${sha256}`),
    get: async <T extends TableName>(table: T, key: string) => tables.get(table, key),
    scan: async <T extends TableName>(table: T, prefix: string) => tables.scan(table, prefix),
  };
  for (const entry of entries) tables.apply(await foldEntries([formatEntry(entry)], reader));
  return tables;
}

const pinOf = (digit: string) => `sha512:${digit.repeat(128)}`;

test('a version that is pinned anew has the new hash, waits for a head, and gives the old hash up', async () => {
  const tables = await tablesOf([learn('1.0.0', '1'), repin('1.0.0', '2')]);
  const { pinned, state, time } = tables.get('version', versionKey('a', '1.0.0')) ?? {};
  assert.deepEqual({ pinned, state, time }, { pinned: pinOf('2'), state: 'learned', time: null });
  assert.equal(tables.get('pinned', pinKey(pinOf('1'), 'a', '1.0.0')), null);
  assert.deepEqual(tables.get('pinned', pinKey(pinOf('2'), 'a', '1.0.0')), { name: 'a', version: '1.0.0' });
});

test('a hash that another version has, too, stays in the index', async () => {
  const tables = await tablesOf([learn('1.0.0', '1'), learn('1.1.0', '1'), repin('1.0.0', '2')]);
  assert.deepEqual(tables.get('pinned', pinKey(pinOf('1'), 'a', '1.1.0')), { name: 'a', version: '1.1.0' });
  const kept = await tablesOf([learn('1.0.0', '1'), learn('1.1.0', '1'), repin('1.1.0', '2')]);
  assert.deepEqual(kept.get('pinned', pinKey(pinOf('1'), 'a', '1.0.0')), { name: 'a', version: '1.0.0' });
});

test('pinning anew with the same hash keeps it, and a withdrawn version comes back by it', async () => {
  const withdraw: Entry = { kind: 'withdraw', time: 1, name: 'a', version: '1.0.0', deadline: 0, reason: 'disputed' };
  const tables = await tablesOf([learn('1.0.0', '1'), withdraw, repin('1.0.0', '1')]);
  assert.deepEqual(tables.get('pinned', pinKey(pinOf('1'), 'a', '1.0.0')), { name: 'a', version: '1.0.0' });
  assert.equal(tables.get('version', versionKey('a', '1.0.0'))?.state, 'learned');
});

test('an entry that names the line of another version is refused', async () => {
  await assert.rejects(tablesOf([{ ...repin('1.0.0', '1'), version: '1.1.0' } as Entry]), { code: 'malformed' });
});
