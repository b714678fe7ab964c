import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileTrouble } from '../../src/core/file-trouble.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('what keeps a file from being read is told in words, and the rest as the system tells it', async () => {
  const dir = tempFolder();
  const trouble = (path: string) => readFile(path).then(() => 'none', fileTrouble);
  assert.equal(await trouble(join(dir, 'nothing')), 'there is no such file');
  assert.equal(await trouble(dir), 'it is a folder');
  assert.equal(await trouble(join(import.meta.filename, 'below')), 'a part of its path is no folder');
  assert.match(await trouble(join(dir, 'x'.repeat(5000))), /ENAMETOOLONG/);
});
