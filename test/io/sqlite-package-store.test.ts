import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { ConflictError } from '../../src/core/errors.ts';
import { sha256Hex } from '../../src/core/hash.ts';
import { openSqlitePackageStore, type PackageStore } from '../../src/io/sqlite-package-store.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { blobOf, blobStoreContract, bytesOf } from './blob-store-contract.ts';

const fileIn = (folder: string) => join(folder, 'index-blobs.sqlite');

blobStoreContract('sqlite package store', {
  open: async (folder) => (await openSqlitePackageStore(fileIn(folder))).blobs,
  rot: async (_store, folder, id) => {
    const db = new DatabaseSync(fileIn(folder));
    db.prepare('UPDATE blobs SET bytes = zeroblob(length(bytes)) WHERE id = unhex(?)').run(id.hex);
    db.close();
  },
  durable: true,
});

async function open(t: TestContext, folder = tempFolder()): Promise<PackageStore & { folder: string }> {
  const store = await openSqlitePackageStore(fileIn(folder));
  t.after(() => store.close());
  return { ...store, folder };
}

/** A package whose head is the last of these blobs. */
async function put({ heads }: PackageStore, name: string, used: number, ...blobs: Uint8Array[]): Promise<string> {
  const parts = blobs.map(sha256Hex);
  const hash = parts.at(-1) as string;
  await heads.put({ name, hash, parts }, blobs, used);
  return hash;
}

const holds = ({ blobs }: PackageStore, ...all: Uint8Array[]) => Promise.all(all.map((one) => blobs.has(blobOf(one))));
const oldest = ({ heads }: PackageStore, bytes = 1e9, except: string[] = []) =>
  heads.oldest(10, bytes, except).map(({ name }) => name);

test('a head goes with what only it is made of', async (t) => {
  const store = await open(t);
  const [shared, a, b] = [bytesOf(900, 1), bytesOf(500, 2), bytesOf(600, 3)];
  const first = await put(store, 'a', 1, shared, a);
  const second = await put(store, 'b', 2, shared, b);
  assert.deepEqual(await store.blobs.read(blobOf(a)), a);
  await store.heads.drop([first]);
  assert.deepEqual(await holds(store, shared, a, b), [true, false, true]);
  assert.equal(await store.blobs.read(blobOf(a)), null, 'nor from memory');
  assert.deepEqual([store.heads.has(first), store.heads.nameOf(second)], [false, 'b']);
  await store.heads.drop([second]);
  assert.deepEqual(await holds(store, shared, a, b), [false, false, false]);
});

test('heads that go together take with them what only they share', async (t) => {
  const store = await open(t);
  const shared = bytesOf(900, 1);
  const heads = [await put(store, 'a', 1, shared, bytesOf(5, 2)), await put(store, 'a', 1, shared, bytesOf(5, 3))];
  await store.heads.drop(heads);
  assert.deepEqual(await holds(store, shared), [false]);
});

test('a head that lacks something is refused, and nothing of it is stored', async (t) => {
  const store = await open(t);
  const [there, head] = [bytesOf(100, 1), bytesOf(50, 2)];
  const hash = sha256Hex(head);
  const parts = [hash, sha256Hex(there), 'ab'.repeat(32)];
  await assert.rejects(store.heads.put({ name: 'a', hash, parts }, [there, head], 1), ConflictError);
  assert.deepEqual(await holds(store, there, head), [false, false]);
  assert.equal(store.heads.has(hash), false);
});

test('the order is that of the last use, of the newest head of a package; what is too large is always among them', async (t) => {
  const store = await open(t);
  for (const [at, name] of ['a', 'b', 'c'].entries()) await put(store, name, at, bytesOf(100, at + 1));
  const newer = await put(store, 'a', 1, bytesOf(5_000, 9));
  await store.heads.use(new Map([['a', 7]]));
  assert.deepEqual(oldest(store), ['a', 'b', 'c', 'a']);
  assert.equal(store.heads.oldest(10, 1e9, []).at(-1)?.hash, newer);
  assert.deepEqual(oldest(store, 1e9, ['a', 'b']), ['c']);
  assert.deepEqual(oldest(store, 4_000, ['a', 'b']), ['c', 'a']);
  assert.deepEqual(
    store.heads.oldest(1, 4_000, []).map(({ bytes }) => bytes),
    [100, 5_000],
  );
});

test('what is free is used again, and given back where the file is larger than it may be', async (t) => {
  const store = await open(t);
  const { heads } = store;
  const sizeOf = () => statSync(fileIn(store.folder)).size;
  const fill = async (seed: number) => {
    for (let i = 0; i < 30; i++)
      await put(store, `p${i}`, i, bytesOf(50_000, seed + i), bytesOf(3_000, seed + 100 + i));
  };
  const drop = (limit: number) => heads.drop(heads.oldest(limit, 1e9, []).map(({ hash }) => hash));
  await fill(1);
  const full = heads.space();
  assert.equal(full.used, full.file);
  await drop(30);
  assert.ok(heads.space().used < full.used / 10 && heads.space().file === full.file);
  await fill(1_000);
  assert.ok(heads.space().file < full.file * 1.05, 'free pages are used again');
  await drop(20);
  await heads.shrink(1_000_000);
  assert.ok(heads.space().file <= 1_000_000, `${heads.space().file} bytes`);
  await heads.shrink(0);
  assert.equal(heads.space().file, heads.space().used);
  await store.close();
  assert.equal(sizeOf(), heads.space().file, 'what it was at last');
});
