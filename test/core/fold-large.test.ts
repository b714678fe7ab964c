import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildTop } from '../../src/core/assembly.ts';
import { formatEntry } from '../../src/core/entry.ts';
import { foldEntries } from '../../src/core/fold.ts';
import { sha256Hex } from '../../src/core/hash.ts';
import { formatHead, type VersionEntry } from '../../src/core/head.ts';
import { MemoryTables } from '../../src/core/memory-tables.ts';
import { formatPages } from '../../src/core/pages.ts';
import { finish } from '../../src/core/steps.ts';
import type { TableName } from '../../src/core/tables.ts';

const COUNT = 1_000;
const hash = 'a'.repeat(64);
const entries = Array.from({ length: COUNT }, (_, at): VersionEntry => {
  const pinned = { algorithm: 'sha512', hex: at.toString(16).padStart(128, '0') } as const;
  const [version, file] = [`1.0.${at}`, `a-1.0.${at}.tgz`];
  return { version, manifest: hash, cut: 0, file, abbreviated: hash, abbreviatedCut: 0, pinned };
});
const blobs = new Map<string, Uint8Array>();
const store = (bytes: Uint8Array): string => {
  blobs.set(sha256Hex(bytes), bytes);
  return sha256Hex(bytes);
};

/** A head with all of them, by its hash. */
function storeHead(): string {
  const { pages, count, root } = finish(formatPages(entries));
  const time = new Map(entries.map(({ version }) => [version, '2020-01-01T00:00:00.000Z']));
  const form = { size: 1, sha256: hash };
  const head = {
    ...({ name: 'a', seq: 1, assembly: 'assembly/1', full: form, abbreviated: form } as const),
    ...{ tags: hash, top: store(buildTop(time, [])), versions: { count, root }, pages: pages.map(store) },
  };
  return store(formatHead(head));
}

test('folding a large package offers a pause between its pages, and comes to the same without', async () => {
  const learned = formatEntry({ kind: 'learned', time: 1, name: 'a', head: storeHead() });
  const tables = new MemoryTables();
  const reader = {
    blob: async (sha256: string) => blobs.get(sha256) ?? assert.fail(`no blob ${sha256}`),
    get: async <T extends TableName>(table: T, key: string) => tables.get(table, key),
    scan: async <T extends TableName>(table: T, prefix: string) => tables.scan(table, prefix),
  };
  let pauses = 0;
  const changes = await foldEntries([learned], { ...reader, pause: async () => void pauses++ });
  assert.ok(pauses >= 4 + 3, `${pauses} pauses for 4 pages and as many steps through their times`);
  assert.deepEqual(changes, await foldEntries([learned], reader));
  const times = changes.filter(({ table, row }) => table === 'version' && row && 'time' in row && row.time !== null);
  assert.equal(times.length, COUNT);
});
