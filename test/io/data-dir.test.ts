import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ConflictError, UsageError } from '../../src/core/errors.ts';
import { openDataDir, roleOf } from '../../src/io/data-dir.ts';
import { openMirrorStores, openOriginStores } from '../../src/io/stores.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('a data directory is made for its owner alone, and says what it is', async () => {
  const dir = join(tempFolder(), 'deep', 'data');
  assert.equal(await roleOf(dir), null);
  const data = await openDataDir(dir, 'origin');
  assert.equal(statSync(dir).mode & 0o777, 0o700);
  assert.equal(await roleOf(dir), 'origin');
  await data.close();
  assert.deepEqual(readdirSync(dir).sort(), ['format.json', 'lock']);
});

test('where no data can be kept is told in words', async () => {
  const file = join(tempFolder(), 'file');
  writeFileSync(file, '');
  const refused = (why: RegExp) => ({ name: 'UsageError', message: why });
  await assert.rejects(
    openDataDir(file, 'origin'),
    refused(/can't keep data in .*file: there is a file in its place;/),
  );
  await assert.rejects(openDataDir(join(file, 'data'), 'origin'), refused(/a part of its path is no folder;/));
});

test('a data directory has one owner, also within one process', async () => {
  const dir = tempFolder();
  const data = await openDataDir(dir, 'origin');
  const inUse = { name: 'ConflictError', message: new RegExp(`running origin \\(process ${process.pid}\\)`) };
  await assert.rejects(openDataDir(dir, 'origin'), inUse);
  // A refused attempt must not weaken the lock.
  await assert.rejects(openDataDir(dir, 'origin'), inUse);
  await data.close();
  await (await openDataDir(dir, 'origin')).close();
});

test('a data directory is free again when its owner was killed', async () => {
  const dir = tempFolder();
  const script = join(import.meta.dirname, '../support/storage/hold-data-dir.ts');
  const owner = spawn(process.execPath, [script, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(owner.stdout, 'data');
  await assert.rejects(openDataDir(dir, 'mirror'), new RegExp(`running mirror \\(process ${owner.pid}\\)`));
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  await (await openDataDir(dir, 'mirror')).close();
});

test('a data directory of another role, another format, or of something else is refused and left alone', async () => {
  const dir = tempFolder();
  await (await openDataDir(dir, 'origin')).close();
  await assert.rejects(openDataDir(dir, 'mirror'), {
    name: 'UsageError',
    message: /role origin, not mirror/,
  });
  for (const content of ['{"format":2,"role":"origin"}', '{"format":1,"role":"router"}', 'torn']) {
    writeFileSync(join(dir, 'format.json'), content);
    await assert.rejects(openDataDir(dir, 'origin'), UsageError);
  }
  const home = tempFolder();
  writeFileSync(join(home, 'letters.txt'), '');
  await assert.rejects(openDataDir(home, 'origin'), { name: 'UsageError', message: /letters\.txt/ });
  assert.equal(existsSync(join(home, 'format.json')), false);
  await assert.rejects(openDataDir(home, 'origin'), UsageError, 'the lock was given free');
});

test('a start that was cut off is taken up again', async () => {
  const dir = tempFolder();
  for (const name of ['lock', 'format.json.00ff.tmp', 'owner.json']) writeFileSync(join(dir, name), '');
  const data = await openDataDir(dir, 'mirror');
  assert.deepEqual(readdirSync(dir).sort(), ['format.json', 'lock', 'owner.json']);
  await data.close();
});

test('two processes of many get the folder one after the other', async () => {
  const dir = tempFolder();
  const results = await Promise.allSettled(Array.from({ length: 5 }, () => openDataDir(dir, 'mirror')));
  const held = results.filter((result) => result.status === 'fulfilled');
  const refused = results.filter((result) => result.status === 'rejected');
  assert.equal(held.length, 1);
  for (const { reason } of refused) assert.ok(reason instanceof ConflictError, String(reason));
  await held[0]?.value.close();
});

test('the stores of an origin and of a mirror lie where their owner expects them', async () => {
  const dir = tempFolder();
  mkdirSync(join(dir, 'o'));
  const origin = await openOriginStores(join(dir, 'o'));
  assert.equal(await origin.metadata.size(), 0);
  await origin.close();
  const mirror = await openMirrorStores(join(dir, 'm'));
  await mirror.close();
  const has = (path: string): boolean => existsSync(join(dir, path));
  assert.ok(['o/metadata.sqlite', 'o/blobs.sqlite', 'o/cache/tarballs', 'm/blobs'].every(has));
});
