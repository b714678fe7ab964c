import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { text, utf8 } from '../../src/core/bytes.ts';
import { StorageFullError, TooLargeError } from '../../src/core/errors.ts';
import {
  makeFolder,
  readBounded,
  removeTempFiles,
  storageError,
  tempPathFor,
  writeDurably,
} from '../../src/io/durable-file.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('writeDurably replaces a file, for its owner alone, and leaves nothing beside it', async () => {
  const dir = tempFolder();
  const path = join(dir, 'state.json');
  await writeDurably(path, utf8('old'));
  await writeDurably(path, utf8('new'));
  assert.equal(readFileSync(path, 'utf8'), 'new');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(dir), ['state.json']);
});

test('writeDurably may be called for one file many times at once', async () => {
  const path = join(tempFolder(), 'state.json');
  const contents = Array.from({ length: 20 }, (_, i) => `content ${i}`.repeat(1_000));
  await Promise.all(contents.map((content) => writeDurably(path, utf8(content))));
  assert.ok(contents.includes(readFileSync(path, 'utf8')));
});

test('writeDurably leaves the old content and no temp file when it fails', async () => {
  const dir = tempFolder();
  const path = join(dir, 'taken');
  mkdirSync(join(path, 'in the way'), { recursive: true });
  await assert.rejects(writeDurably(path, utf8('new')));
  assert.deepEqual(readdirSync(dir), ['taken']);
});

test('readBounded gives the content, null for no file, and refuses what is too long', async () => {
  const path = join(tempFolder(), 'file');
  assert.equal(await readBounded(path, 10), null);
  writeFileSync(path, '0123456789');
  assert.equal(text((await readBounded(path, 10)) as Uint8Array), '0123456789');
  await assert.rejects(readBounded(path, 9), TooLargeError);
});

test('makeFolder makes what is missing above it, for its owner alone', async () => {
  const path = join(tempFolder(), 'a', 'b', 'c');
  await makeFolder(path);
  await makeFolder(path);
  assert.equal(statSync(path).mode & 0o777, 0o700);
});

test('removeTempFiles removes temp files only', async () => {
  const dir = tempFolder();
  const temp = tempPathFor(join(dir, 'state.json'));
  for (const path of [temp, join(dir, 'state.json')]) writeFileSync(path, '');
  await removeTempFiles(dir);
  assert.equal(existsSync(temp), false);
  assert.deepEqual(readdirSync(dir), ['state.json']);
});

test('a full disk and a used up quota have an error of their own, all else passes through', () => {
  const errorOf = (code: string): Error => Object.assign(new Error(code), { code });
  for (const code of ['ENOSPC', 'EDQUOT']) {
    const named = storageError(errorOf(code), '/data/x');
    assert.ok(named instanceof StorageFullError && named.message.includes('/data/x'));
  }
  const other = errorOf('EACCES');
  assert.equal(storageError(other, '/data/x'), other);
});
