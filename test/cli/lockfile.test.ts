import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, lstat, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkLockfile, rewriteLockfile } from '../../src/cli/lockfile.ts';
import { replacedRegistry } from '../../src/io/npm-defaults.ts';
import { tempFolder } from '../support/temp-folder.ts';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const vectors = fileURLToPath(new URL('../vectors/lockfiles/', import.meta.url));
const door = 'https://door.example';

function lockfile(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, 'lockfile', ...args], { encoding: 'utf8' });
}

async function copyOf(name: string): Promise<string> {
  const path = join(tempFolder(), name);
  await writeFile(path, await readFile(join(vectors, name)));
  return path;
}

test('check: hosts and other sources; with a registry, a verdict per client and exit 1', async () => {
  const file = await copyOf('npm-2.json');
  const plain = lockfile('check', file);
  assert.equal(plain.status, 0, plain.stderr);
  assert.match(plain.stdout, /npm lockfile, version 2: 10 entries from registries, 10 with a URL/);
  assert.match(plain.stdout, /registry\.example +10/);
  assert.match(plain.stdout, /line \d+: remote@1\.0\.0 https:\/\/files\.example\//);
  assert.equal(lockfile('check', file, '--registry', 'https://registry.example/').status, 0);
  const elsewhere = lockfile('check', file, '--registry', door);
  assert.equal(elsewhere.status, 1);
  assert.match(elsewhere.stdout, /npm 12 +no +refuses the URLs at registry\.example \(10\)/);
});

test('check: the host that npm replaces by itself is fine for npm, and for nobody else', async () => {
  const registry = replacedRegistry()?.replace(/\/$/, '') ?? '';
  for (const [name, status] of [
    ['npm-3.json', 0],
    ['yarn-1.lock', 1],
  ] as const) {
    const file = await copyOf(name);
    await writeFile(file, (await readFile(file, 'utf8')).replaceAll('https://registry.example', registry));
    assert.equal(lockfile('check', file, '--registry', door).status, status, name);
  }
});

test('check: control characters and credentials of a file do not get to the terminal', async () => {
  const file = await copyOf('npm-3.json');
  const text = await readFile(file, 'utf8');
  const url = 'https://user:secret@files.example/\\u001b[2J.tgz';
  await writeFile(file, text.replace('https://registry.example/ms/-/ms-2.0.0.tgz', url));
  const { stdout } = lockfile('check', file);
  assert.match(stdout, /ms@2\.0\.0 https:\/\/files\.example/);
  assert.ok(!stdout.includes('\u001b') && !stdout.includes('secret'));
});

test('rewrite: in place, through a link, with the same permissions and nothing left behind', async () => {
  const file = await copyOf('yarn-1.lock');
  await chmod(file, 0o640);
  const link = join(tempFolder(), 'yarn.lock');
  await symlink(file, link);
  const { status, stdout, stderr } = lockfile('rewrite', link, '--to', door);
  assert.deepEqual([status, stdout], [0, '']);
  assert.match(stderr, /^5 entries moved to https:\/\/door\.example\n/);
  assert.match(await readFile(file, 'utf8'), /resolved "https:\/\/door\.example\/ms\/-\/ms-2\.0\.0\.tgz#[0-9a-f]{40}"/);
  assert.equal((await stat(file)).mode & 0o777, 0o640);
  assert.ok((await lstat(link)).isSymbolicLink());
  assert.deepEqual(await readdir(join(file, '..')), ['yarn-1.lock']);
});

test('rewrite: to standard output or another file; the source stays', async () => {
  const file = await copyOf('pnpm-12.yaml');
  const before = await readFile(file, 'utf8');
  const portable = await readFile(join(vectors, 'pnpm-12.portable.yaml'), 'utf8');
  assert.equal(lockfile('rewrite', file, '--portable', '--output', '-').stdout, portable);
  const other = join(tempFolder(), 'new.yaml');
  assert.equal(lockfile('rewrite', file, '--portable', '--output', other).status, 0);
  assert.equal(await readFile(other, 'utf8'), portable);
  assert.equal(await readFile(file, 'utf8'), before);
});

test('rewrite: exit 1 and a word about each entry that could not be moved', async () => {
  const file = await copyOf('bun.lock');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace('/ms/-/ms-2.0.0.tgz', '/evil/-/evil-2.0.0.tgz'));
  const { status, stderr } = lockfile('rewrite', file, '--to', door);
  assert.equal(status, 1);
  assert.match(
    stderr,
    /1 name another package's tarball[^\n]*\n {2}line \d+: ms@2\.0\.0 https:\/\/registry\.example\/evil/,
  );
  assert.match(await readFile(file, 'utf8'), /door\.example\/is-odd/);
});

test('exit 2 and one line for what can not be done', async () => {
  const file = await copyOf('yarn-1.lock');
  const { status, stdout, stderr } = lockfile('rewrite', file, '--portable');
  assert.deepEqual([status, stdout], [2, '']);
  assert.match(stderr, /^open-registry: yarn 1 has no portable lockfile[^\n]*\n$/);
  assert.equal(await readFile(file, 'utf8'), await readFile(join(vectors, 'yarn-1.lock'), 'utf8'));
});

test('usage errors name the file and what is wrong with it', async () => {
  const file = join(vectors, 'yarn-1.lock');
  const binary = join(tempFolder(), 'bun.lockb');
  await writeFile(binary, '#!/usr/bin/env bun\nbun-lockfile-format-v0\n\0');
  const neither = /either --to URL or --portable/;
  await assert.rejects(rewriteLockfile(file, {}), { name: 'UsageError', message: neither });
  await assert.rejects(rewriteLockfile(file, { to: door, portable: true }), { name: 'UsageError', message: neither });
  await assert.rejects(rewriteLockfile(file, { to: 'door.example' }), { name: 'UsageError', message: /not an http/ });
  const unreadable: [path: string, message: RegExp][] = [
    [binary, /bun\.lockb: .*--save-text-lockfile/],
    [join(vectors, 'missing.lock'), /missing\.lock: there is no such file/],
    [vectors, /it is a folder/],
    [main, /main\.ts: .*none of package-lock\.json/],
  ];
  for (const [path, message] of unreadable) {
    await assert.rejects(checkLockfile(path, {}), { name: 'UsageError', message });
  }
});
