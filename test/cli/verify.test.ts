import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { before, describe, test } from 'node:test';
import { runVerify } from '../../src/cli/verify.ts';
import { ChunkHasher } from '../../src/core/chunks.ts';
import { UsageError } from '../../src/core/errors.ts';
import type { VerifyReport } from '../../src/core/verify-report.ts';
import { serveAdmin } from '../../src/io/admin-socket.ts';
import { blobPath, chunksPath } from '../../src/io/blob-path.ts';
import { formatChunkFile } from '../../src/io/chunked-file.ts';
import { openDataDir } from '../../src/io/data-dir.ts';
import { openOriginStores } from '../../src/io/stores.ts';
import { verifyStores } from '../../src/io/verify-stores.ts';
import { blobOf } from '../io/blob-store-contract.ts';
import { makeFollower, makeSmallMirror, makeSmallOrigin, TARBALL } from '../support/storage/small-origin.ts';
import { tempFolder } from '../support/temp-folder.ts';

const tarballId = blobOf(TARBALL, 'sha512');
const made = tempFolder();
before(async () => {
  await makeSmallOrigin(join(made, 'origin'));
  await makeSmallMirror(join(made, 'mirror'));
  await makeFollower(join(made, 'follower'), join(made, 'origin'));
});

function copyOf(role: 'origin' | 'mirror' | 'follower'): string {
  const dir = join(tempFolder(), 'data');
  cpSync(join(made, role), dir, { recursive: true });
  return dir;
}

async function verify(target: string): Promise<{ code: number; text: string }> {
  const lines: string[] = [];
  const code = await runVerify(target, (line) => lines.push(line));
  return { code, text: lines.join('\n') };
}

function sql(dir: string, file: string, statement: string): void {
  const db = new DatabaseSync(join(dir, file));
  assert.ok(Number(db.prepare(statement).run().changes) > 0, 'the statement changed nothing');
  db.close();
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] as number) ^ 1;
  writeFileSync(path, bytes);
}

test('verify says what it checked of a sound origin', async () => {
  const dir = copyOf('origin');
  const { code, text } = await verify(dir);
  assert.equal(
    text,
    `${dir} (origin)
  keys      1 key set: as the root key certifies
  log       13 entries, 1 tile: tiles and root as the entries make them
  journal   13 entries: all canonical, in the order of time
  tables    12 rows: as the journal makes them
  packages  3 packages, 2 heads: pages and both forms as their heads say
  versions  4 versions: manifests with the pinned hash, abbreviated by the rule
  measured  1 tarball: chunk lists with the roots that were measured
  blobs     ${blobCount(dir)}: each with the hash that names it
  tarballs  1 blob, 1,100,000 bytes: each with the hash that names it
all is well`,
  );
  assert.equal(code, 0);
});

function blobCount(dir: string): string {
  const db = new DatabaseSync(join(dir, 'blobs.sqlite'));
  const row = db.prepare('SELECT count(*) AS n, sum(length(bytes)) AS size FROM blobs').get();
  db.close();
  return `${row?.n} blobs, ${Number(row?.size).toLocaleString('en')} bytes`;
}

test('verify says what it checked of a sound mirror', async () => {
  const dir = copyOf('mirror');
  const { code, text } = await verify(dir);
  assert.equal(
    text,
    `${dir} (mirror)
  keys       1 identity key: readable
  log        nothing
  journal    nothing
  tables     nothing
  blobs      1 blob, 1,100,000 bytes: each with the hash that names it
  withdrawn  nothing
all is well`,
  );
  assert.equal(code, 0);
});

test('verify says what it checked of a sound mirror that follows the log', async () => {
  const dir = copyOf('follower');
  const { code, text } = await verify(dir);
  assert.equal(
    text,
    `${dir} (mirror)
  keys       1 identity key: readable
  log        1 checkpoint, 13 entries, 1 tile: tiles and root as the entries make them
  journal    13 entries: all canonical, in the order of time
  tables     6 rows: as the journal makes them
  packages   3 packages, 1 head: pages and both forms as their heads say
             note: not kept here: 1 of the heads that the log names
  index      6 blobs, 1,275 bytes: each with the hash that names it
  blobs      1 blob, 1,100,000 bytes: each with the hash that names it
  withdrawn  nothing
all is well`,
  );
  assert.equal(code, 0);
});

test('verify takes a folder of several data directories', async () => {
  const { code, text } = await verify(made);
  assert.equal(code, 0);
  assert.ok(text.includes('(mirror)') && text.includes('(origin)'));
});

test('verify says what a mirror has yet to remove, and nothing of what it has removed', async () => {
  const dir = copyOf('mirror');
  const row = JSON.stringify({ name: 'alpha', version: '1.0.0', reason: 'malware', since: 0, deadline: 3_600 });
  for (const sha512 of [tarballId.hex, '00'.repeat(64)]) {
    sql(
      dir,
      'index.sqlite',
      `INSERT INTO rows VALUES ('tombstone', x'${Buffer.from(sha512).toString('hex')}', '${row}')`,
    );
  }
  const burying = JSON.stringify({ value: JSON.stringify([tarballId.hex]) });
  const key = Buffer.from('burying').toString('hex');
  sql(dir, 'index.sqlite', `INSERT INTO rows VALUES ('setting', x'${key}', '${burying}')`);
  const { code, text } = await verify(dir);
  assert.match(text, /^ {2}withdrawn {2}1 tombstone: nothing of it is held\n.*note: [0-9a-f]{128} is to be removed/m);
  assert.equal(code, 0);
});

describe('verify finds', () => {
  const faults: readonly [string, 'origin' | 'mirror' | 'follower', (dir: string) => void, RegExp][] = [
    [
      'an entry that is not canonical',
      'origin',
      (dir) => sql(dir, 'metadata.sqlite', "UPDATE journal SET entry = CAST(entry || x'0a' AS BLOB) WHERE at = 1"),
      /journal .*\n +WRONG entry 1: malformed/,
    ],
    [
      'a tarball that was withdrawn and is still held',
      'mirror',
      (dir) =>
        sql(
          dir,
          'index.sqlite',
          `INSERT INTO rows VALUES ('tombstone', x'${Buffer.from(tarballId.hex).toString('hex')}', '{"name":"alpha"}')`,
        ),
      new RegExp(`withdrawn +nothing\\n +WRONG sha512:${tarballId.hex}: it was withdrawn, and is still held`),
    ],
    [
      'time that runs backwards',
      'origin',
      (dir) =>
        sql(
          dir,
          'metadata.sqlite',
          "UPDATE journal SET entry = CAST(replace(CAST(entry AS TEXT), 'time 17', 'time 16') AS BLOB) WHERE at = 2",
        ),
      /WRONG entry 2: .*time 1600000000000 lies before 1700000000000/,
    ],
    [
      'an entry that was replaced by another one',
      'origin',
      (dir) =>
        sql(
          dir,
          'metadata.sqlite',
          "UPDATE journal SET entry = CAST(replace(CAST(entry AS TEXT), 'malware', 'nothing') AS BLOB) WHERE CAST(entry AS TEXT) LIKE 'withdraw%'",
        ),
      /log .*\n +WRONG head: its root is [0-9a-f]{64}, that of the entries [0-9a-f]{64}\n +WRONG tile\/0\/000\.p\/13: hash 11 /,
    ],
    [
      'a tile that has rotted',
      'origin',
      (dir) => sql(dir, 'metadata.sqlite', 'UPDATE tiles SET hashes = zeroblob(length(hashes))'),
      /log .*\n +WRONG tile\/0\/000\.p\/13: hash 0 is not what the entries make it/,
    ],
    [
      'a checkpoint that nobody signed',
      'follower',
      (dir) =>
        sql(
          dir,
          'index.sqlite',
          "UPDATE rows SET row = replace(row, '\\n13\\n', '\\n12\\n') WHERE name = 'setting' AND key = CAST('checkpoint' AS BLOB)",
        ),
      /log .*\n +WRONG checkpoint: the note's signature by .* is wrong/,
    ],
    [
      'a checkpoint of more entries than there are',
      'follower',
      (dir) => {
        sql(dir, 'index.sqlite', 'DELETE FROM journal WHERE at = 12');
        sql(dir, 'index.sqlite', 'UPDATE tree SET size = 12');
      },
      /WRONG checkpoint: it tells of 13 entries, there are 12/,
    ],
    [
      "a mirror's row that the log makes otherwise",
      'follower',
      (dir) => sql(dir, 'index.sqlite', "DELETE FROM rows WHERE name = 'withdrawn'"),
      /tables .*\n +WRONG withdrawn small@1\.1\.0: the journal makes it, but it is not in the table/,
    ],
    [
      "a blob that a mirror's head names and that is missing",
      'follower',
      (dir) => sql(dir, 'index-blobs.sqlite', "DELETE FROM blobs WHERE CAST(bytes AS TEXT) LIKE '%readme%'"),
      /packages .*\n.*\n +WRONG @scope\/other: the blob sha256:[0-9a-f]{64} is missing/,
    ],
    [
      'a row that the journal makes otherwise',
      'origin',
      (dir) =>
        sql(dir, 'metadata.sqlite', "UPDATE rows SET row = replace(row, 'malware', 'nothing') WHERE name = 'version'"),
      /WRONG version small@1\.1\.0: the table says .*nothing.*malware/,
    ],
    [
      'a row that is missing',
      'origin',
      (dir) => sql(dir, 'metadata.sqlite', "DELETE FROM rows WHERE name = 'pinned' AND row LIKE '%other%'"),
      /WRONG pinned sha512:[0-9a-f]+@@scope\/other@\S+: the journal makes it, but it is not in the table/,
    ],
    [
      'a row that the journal does not make',
      'origin',
      (dir) =>
        sql(dir, 'metadata.sqlite', `INSERT INTO rows VALUES ('content', CAST('abc' AS BLOB), '{"pinned":"sha1:00"}')`),
      /WRONG content abc: it is in the table, but the journal does not make it/,
    ],
    [
      'a head that is missing',
      'origin',
      (dir) => sql(dir, 'blobs.sqlite', "DELETE FROM blobs WHERE CAST(bytes AS TEXT) LIKE 'head/1%seq 2%'"),
      /WRONG small: the blob sha256:[0-9a-f]{64} is missing/,
    ],
    [
      'a manifest that has rotted',
      'origin',
      (dir) =>
        sql(
          dir,
          'blobs.sqlite',
          "UPDATE blobs SET bytes = CAST(replace(CAST(bytes AS TEXT), 'readme', 'reedme') AS BLOB) WHERE CAST(bytes AS TEXT) LIKE '%lone%readme%'",
        ),
      /WRONG lone@3\.0\.0: wrong bytes from .*blobs\.sqlite/,
    ],
    [
      'a chunk list that is missing',
      'origin',
      (dir) => sql(dir, 'blobs.sqlite', 'DELETE FROM blobs WHERE length(bytes) = 544'),
      /measured .*\n +WRONG sha512:[0-9a-f]+: the blob sha256:[0-9a-f]{64} is missing/,
    ],
    [
      'a tarball that has rotted',
      'origin',
      (dir) => flip(blobPath(join(dir, 'cache/tarballs'), tarballId), 500_000),
      /tarballs .*\n +WRONG sha512:[0-9a-f]+: wrong bytes from .*chunk 7/,
    ],
    [
      'chunk hashes that belong to other bytes',
      'mirror',
      (dir) => {
        // Rotten bytes under chunk hashes that fit them, as only malice could make them.
        const path = blobPath(join(dir, 'blobs'), tarballId);
        flip(path, 70_000);
        const bytes = readFileSync(path);
        writeFileSync(
          chunksPath(join(dir, 'blobs'), tarballId),
          formatChunkFile(new ChunkHasher().update(bytes).digest()),
        );
      },
      /blobs .*\n +WRONG sha512:[0-9a-f]+: wrong bytes from the store/,
    ],
    [
      'a database that is none',
      'origin',
      (dir) => writeFileSync(join(dir, 'blobs.sqlite'), 'x'.repeat(5_000)),
      /WRONG .*blobs\.sqlite/,
    ],
    [
      'a database that is missing',
      'origin',
      (dir) => rmSync(join(dir, 'metadata.sqlite')),
      /it lacks metadata\.sqlite/,
    ],
    ['a key that is missing', 'origin', (dir) => rmSync(join(dir, 'keys/log.key')), /WRONG keys: .*log\.key/],
    [
      'an identity that is missing',
      'mirror',
      (dir) => rmSync(join(dir, 'keys/identity.key')),
      /it lacks keys\/identity\.key/,
    ],
  ];

  for (const [fault, role, apply, expected] of faults) {
    test(fault, async () => {
      const dir = copyOf(role);
      apply(dir);
      const { code, text } = await verify(dir);
      assert.match(text, expected);
      assert.match(text, /things? (is|are) wrong$/);
      assert.equal(code, 1);
    });
  }
});

test('verify takes a journal without a tree for what the next start mends', async () => {
  const dir = copyOf('origin');
  sql(dir, 'metadata.sqlite', 'DELETE FROM tiles');
  sql(dir, 'metadata.sqlite', 'DELETE FROM tree');
  const { code, text } = await verify(dir);
  assert.match(text, /log +nothing\n +note: 13 entries are not in the tree yet; the next start takes them in/);
  assert.equal(code, 0);
});

test('verify leaves alone what a writer left half-written, and does not count it', async () => {
  const dir = copyOf('mirror');
  const folder = join(dir, 'blobs', 'tmp');
  writeFileSync(join(folder, 'put.00.tmp'), 'half');
  assert.match((await verify(dir)).text, /blobs +1 blob,/);
  assert.deepEqual(readdirSync(folder), []);
});

test('verify of a running server asks that server', async () => {
  const dir = copyOf('origin');
  const data = await openDataDir(dir, 'origin');
  const stores = await openOriginStores(dir);
  const asked: string[] = [];
  const admin = await serveAdmin(dir, async ({ method, path }): Promise<VerifyReport> => {
    asked.push(`${method} ${path.join('/')}`);
    return verifyStores(stores);
  });
  const { code, text } = await verify(dir);
  await admin.close();
  await stores.close();
  await data.close();
  assert.deepEqual([code, asked], [0, ['GET verify']]);
  assert.match(text, /tables {4}12 rows: as the journal makes them/);
});

test('verify of a folder that is held by something that does not answer says by whom', async () => {
  const dir = copyOf('mirror');
  const data = await openDataDir(dir, 'mirror');
  const { code, text } = await verify(dir);
  await data.close();
  assert.equal(code, 1);
  assert.match(text, /in use by a running mirror \(process \d+\): stop it first/);
});

test('verify refuses what is no data directory', async () => {
  await assert.rejects(verify(tempFolder()), UsageError);
  await assert.rejects(verify(join(tempFolder(), 'nothing')), UsageError);
  await assert.rejects(verify('https://registry.example/'), UsageError);
});
