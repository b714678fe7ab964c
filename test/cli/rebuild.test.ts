import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { runRebuild } from '../../src/cli/rebuild.ts';
import { runVerify } from '../../src/cli/verify.ts';
import { parseEntry } from '../../src/core/entry.ts';
import { ConflictError, UsageError } from '../../src/core/errors.ts';
import { DERIVED_TABLES } from '../../src/core/tables.ts';
import { openDataDir } from '../../src/io/data-dir.ts';
import type { MetadataStore } from '../../src/io/metadata-store.ts';
import { openSqliteMetadataStore } from '../../src/io/sqlite-metadata-store.ts';
import { startLivedInOrigin } from '../support/storage/lived-in-origin.ts';
import { makeFollower, makeSmallOrigin } from '../support/storage/small-origin.ts';
import { tempFolder } from '../support/temp-folder.ts';

const ORIGIN = 'metadata.sqlite';
const MIRROR = 'index.sqlite';

async function withMetadata<T>(path: string, read: (metadata: MetadataStore) => Promise<T>): Promise<T> {
  const metadata = await openSqliteMetadataStore(path);
  return read(metadata).finally(() => metadata.close());
}

/** All rows of all derived tables. */
function derived(path: string): Promise<Record<string, unknown>> {
  return withMetadata(path, async (metadata) => {
    const tables: Record<string, unknown> = { folded: await metadata.folded() };
    for (const table of DERIVED_TABLES) tables[table] = await metadata.scan(table, '');
    return tables;
  });
}

function kinds(path: string): Promise<Set<string>> {
  return withMetadata(path, async (metadata) => {
    const entries = await metadata.entries(0, 1_000);
    return new Set(entries.map((bytes) => parseEntry(bytes).kind));
  });
}

async function rebuild(target: string): Promise<string> {
  const lines: string[] = [];
  await runRebuild(target, (line) => lines.push(line));
  return lines.join('\n');
}

function sql(path: string, statement: string): void {
  const db = new DatabaseSync(path);
  assert.ok(Number(db.prepare(statement).run().changes) > 0, 'the statement changed nothing');
  db.close();
}

test('rebuild makes the tables of an origin anew, the same as they were', async (t) => {
  const origin = await startLivedInOrigin(t);
  await origin.close();
  const path = join(origin.data, ORIGIN);
  const told = ['commit', 'learned', 'measured', 'withdraw', 'repin', 'host-admit', 'host-evict'];
  assert.deepEqual(new Set(told).difference(await kinds(path)), new Set());
  const before = await derived(path);
  sql(path, "DELETE FROM rows WHERE name = 'version'");
  sql(path, "UPDATE rows SET row = replace(row, 'null', '\"x\"') WHERE name = 'host'");
  sql(path, "INSERT INTO rows VALUES ('content', CAST('abc' AS BLOB), '{}')");
  assert.match(await rebuild(origin.data), /\(origin\)\n {2}\d+ rows emptied\n {2}\d+ entries folded: \d+ rows$/);
  assert.deepEqual(await derived(path), before);
  assert.equal(await runVerify(origin.data, () => undefined), 0);
});

const made = tempFolder();
test.before(async () => {
  await makeSmallOrigin(join(made, 'origin'));
  await makeFollower(join(made, 'mirror'), join(made, 'origin'));
});

function copy(): string {
  const dir = tempFolder();
  cpSync(made, dir, { recursive: true });
  return dir;
}

test('rebuild makes the tables of a mirror anew, and takes a folder of several data directories', async () => {
  const dir = copy();
  const path = join(dir, 'mirror', MIRROR);
  const before = await derived(path);
  sql(path, "DELETE FROM rows WHERE name = 'name'");
  assert.equal(
    await rebuild(dir),
    [
      `${join(dir, 'mirror')} (mirror)`,
      '  3 rows emptied',
      '  13 entries folded: 6 rows',
      `${join(dir, 'origin')} (origin)`,
      '  12 rows emptied',
      '  13 entries folded: 12 rows',
    ].join('\n'),
  );
  assert.deepEqual(await derived(path), before);
});

test('rebuild leaves the tables as they are where a blob that they are made of is gone', async () => {
  const dir = join(copy(), 'origin');
  const before = await derived(join(dir, ORIGIN));
  sql(join(dir, 'blobs.sqlite'), "DELETE FROM blobs WHERE CAST(bytes AS TEXT) LIKE 'head/1%seq 2%'");
  await assert.rejects(rebuild(dir), (error: Error) => {
    assert.ok(error instanceof ConflictError);
    assert.match(
      error.message,
      /^1 entry can't be folded, .* fold of entry 3: the blob sha256:[0-9a-f]{64} is missing/,
    );
    return true;
  });
  assert.deepEqual(await derived(join(dir, ORIGIN)), before);
});

test('rebuild refuses what a server runs on, and what is no data directory', async () => {
  const dir = join(copy(), 'origin');
  const data = await openDataDir(dir, 'origin');
  await assert.rejects(rebuild(dir), (error: Error) => {
    assert.ok(error instanceof ConflictError);
    assert.match(error.message, /in use by a running origin \(process \d+\): stop it first/);
    return true;
  });
  await data.close();
  await assert.rejects(rebuild(tempFolder()), UsageError);
});
