import assert from 'node:assert/strict';
import { readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FormFiles } from '../../src/door/form-files.ts';
import { SharedBudget } from '../../src/io/shared-budget.ts';
import { bytesOf } from '../io/blob-store-contract.ts';
import { tempFolder } from '../support/temp-folder.ts';

const FORM = 'ab'.repeat(32);
const fail = (error: unknown) => assert.fail(String(error));
const place = (name: string) => ({ name, kind: 'full', base: '', coding: 'gzip' }) as const;
/** Their share is a tenth: 10,000 bytes. */
const budget = () => new SharedBudget(100_000);

async function save(files: FormFiles, ...names: string[]): Promise<void> {
  for (const name of names) {
    files.save(place(name), FORM, bytesOf(3_000, name.length));
    await files.idle();
  }
}

const held = (files: FormFiles, ...names: string[]) =>
  Promise.all(names.map(async (name) => (await files.load(place(name), FORM)) !== null));
const filesIn = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));

test('forms that were not read for the longest time go, and tarballs get what forms leave', async () => {
  const [folder, shared] = [tempFolder(), budget()];
  const files = new FormFiles(folder, shared, fail);
  await save(files, 'a', 'b', 'c');
  assert.ok(await files.load(place('a'), FORM));
  await save(files, 'd');
  const bytes = filesIn(folder).reduce((sum, path) => sum + statSync(path).size, 0);
  assert.ok(bytes <= 10_000);
  assert.equal(shared.left(), 100_000 - bytes);
  assert.deepEqual(await held(files, 'a', 'b', 'c', 'd'), [true, false, true, true]);
});

test('what lay there at the start counts, the newest stays, and what was left half-written goes', async () => {
  const folder = tempFolder();
  await save(new FormFiles(folder, null, fail), 'a', 'b', 'c', 'd', 'e');
  for (const [at, path] of filesIn(folder).entries()) utimesSync(path, 1_000 + at, 1_000 + at);
  const newest = filesIn(folder).slice(-3);
  writeFileSync(`${newest[0]}.0011223344556677.tmp`, 'half');
  await new FormFiles(folder, budget(), fail).idle();
  assert.deepEqual(filesIn(folder), newest);
});

test('a form that is larger than their share is not kept', async () => {
  const folder = tempFolder();
  const files = new FormFiles(folder, budget(), fail);
  files.save(place('large'), FORM, bytesOf(10_000, 1));
  await files.idle();
  assert.deepEqual(filesIn(folder), []);
});
