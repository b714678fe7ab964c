import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { utf8 } from '../../src/core/bytes.ts';
import { MalformedError } from '../../src/core/errors.ts';
import { foldNames } from '../../src/core/fold-names.ts';
import { sha256Hex } from '../../src/core/hash.ts';
import { appendLeaves, EMPTY_TREE, headOf } from '../../src/core/log-tree.ts';
import { leafHash } from '../../src/core/merkle.ts';
import { type TableName, versionKey } from '../../src/core/tables.ts';
import { MemoryMetadataStore } from '../support/memory-metadata-store.ts';
import { learned, SignedLog, type TestEntry } from '../support/signed-log.ts';

const hash = (label: string) => sha256Hex(utf8(label));
const withdraw = (name: string, version: string): TestEntry => ({
  ...{ kind: 'withdraw', name, version, deadline: 3_600, reason: 'malware' },
});
const ahead = (name: string, version: string): TestEntry => ({
  ...{ kind: 'learned-version', name, version, entry: hash(`${name}@${version}`) },
});

/** Folds a log in runs of this many entries, each over what the runs before it have left. */
async function folded(log: SignedLog, run = log.size): Promise<MemoryMetadataStore> {
  const store = new MemoryMetadataStore();
  const { tree, tiles } = appendLeaves(EMPTY_TREE, log.entries.map(leafHash));
  await store.append(log.entries, { from: headOf(EMPTY_TREE), to: headOf(tree), tiles });
  for (let at = 0; at < log.size; at += run) {
    const entries = log.entries.slice(at, at + run);
    await store.fold(await foldNames(entries, at, store), at, at + entries.length);
  }
  return store;
}

describe('the fold of a mirror', () => {
  it('points from each name to its newest head', async () => {
    const store = await folded(
      new SignedLog().add(learned('alpha', hash('1'))).add(learned('beta'), learned('alpha', hash('2'))),
    );
    assert.deepEqual(await store.get('name', 'alpha'), { head: hash('2'), index: 3, withdrawn: null });
    assert.equal((await store.get('name', 'beta'))?.index, 2);
    assert.equal(await store.get('name', 'gamma'), null);
  });

  it('keeps a version that is told ahead until the next head of the package takes it in', async () => {
    const log = new SignedLog().add(ahead('alpha', '1.0.0'), ahead('alphabet', '1.0.0'));
    const before = await folded(log);
    assert.deepEqual(await before.get('name', 'alpha'), { head: null, index: 0, withdrawn: null });
    assert.deepEqual(await before.get('ahead', versionKey('alpha', '1.0.0')), { entry: hash('alpha@1.0.0'), index: 0 });
    const after = await folded(log.add(learned('alpha')));
    assert.deepEqual(await after.scan('ahead', versionKey('alpha', '')), []);
    assert.equal((await after.scan('ahead', versionKey('alphabet', ''))).length, 1);
  });

  it('leaves the head of a package of which a version is told ahead or pinned anew', async () => {
    const repin: TestEntry = { kind: 'repin', name: 'alpha', version: '2.0.0', entry: hash('x'), reason: 'checked' };
    const store = await folded(new SignedLog().add(learned('alpha'), ahead('alpha', '1.0.0'), repin));
    assert.equal((await store.get('name', 'alpha'))?.head, hash('alpha'));
    assert.deepEqual(await store.get('ahead', versionKey('alpha', '2.0.0')), { entry: hash('x'), index: 2 });
  });

  it('notes what was withdrawn, when, and which head still says what that was', async () => {
    const log = new SignedLog().add(learned('alpha'), withdraw('alpha', '1.0.0'));
    const store = await folded(log.add(withdraw('alpha', '*')));
    const at = log.time - 2_000;
    const withdrawal = { reason: 'malware', at, deadline: 3_600 };
    const row = { ...withdrawal, heads: [hash('alpha')], entries: [], index: 1 };
    assert.deepEqual(await store.get('withdrawn', versionKey('alpha', '1.0.0')), row);
    const whole = { ...row, at: at + 1_000, index: 3 };
    assert.deepEqual(await store.get('withdrawn', versionKey('alpha', '*')), whole);
    const name = { head: null, index: 3, withdrawn: { ...withdrawal, at: at + 1_000 } };
    assert.deepEqual(await store.get('name', 'alpha'), name);
  });

  it('remembers of a version that no head had which version entry told it', async () => {
    const log = new SignedLog()
      .add(ahead('alpha', '1.0.0'), ahead('alpha', '2.0.0'), ahead('alphabet', '1.0.0'), withdraw('alpha', '1.0.0'))
      .add(learned('alpha'), ahead('alpha', '3.0.0'), withdraw('alpha', '*'));
    const store = await folded(log);
    const row = await store.get('withdrawn', versionKey('alpha', '1.0.0'));
    assert.deepEqual([row?.heads, row?.entries], [[], [hash('alpha@1.0.0')]]);
    const whole = await store.get('withdrawn', versionKey('alpha', '*'));
    assert.deepEqual([whole?.heads, whole?.entries], [[hash('alpha')], [hash('alpha@3.0.0'), hash('alpha@2.0.0')]]);
    assert.deepEqual(await store.scan('told', ''), []);
  });

  it('remembers what an earlier withdrawal of the same was about, up to a bound', async () => {
    const log = new SignedLog();
    for (let round = 0; round < 20; round++) log.add(learned('alpha', hash(`${round}`)), withdraw('alpha', '*'));
    const heads = (await (await folded(log)).get('withdrawn', versionKey('alpha', '*')))?.heads;
    assert.deepEqual(
      heads,
      Array.from({ length: 16 }, (_, at) => hash(`${19 - at}`)),
    );
  });

  it('lets a package that comes back be there again, and keeps on record what was withdrawn', async () => {
    const log = new SignedLog().add(learned('alpha'), withdraw('alpha', '*')).add(learned('alpha', hash('2')));
    const store = await folded(log);
    assert.deepEqual(await store.get('name', 'alpha'), { head: hash('2'), index: 3, withdrawn: null });
    assert.equal((await store.get('withdrawn', versionKey('alpha', '*')))?.index, 1);
  });

  it('takes note of the withdrawal of a package that it never saw', async () => {
    const store = await folded(new SignedLog().add(withdraw('alpha', '1.0.0'), withdraw('beta', '*')));
    assert.equal(await store.get('name', 'alpha'), null);
    assert.deepEqual((await store.get('withdrawn', versionKey('alpha', '1.0.0')))?.heads, []);
    assert.equal((await store.get('name', 'beta'))?.withdrawn?.reason, 'malware');
  });

  it('folds all that needs no blob as an origin does, and nothing of a commit', async () => {
    const sha512 = 'ab'.repeat(64);
    const measured: TestEntry = {
      ...{ kind: 'measured', pinned: { algorithm: 'sha1', hex: 'cd'.repeat(20) }, sha512, size: 10 },
      ...{ chunks: hash('c'), list: hash('l') },
    };
    const store = await folded(new SignedLog().add(measured));
    const row = { sha512, size: 10, chunks: hash('c'), list: hash('l') };
    assert.deepEqual(await store.get('measured', `sha1:${'cd'.repeat(20)}`), row);
    assert.deepEqual(await store.get('content', sha512), { pinned: `sha1:${'cd'.repeat(20)}` });
  });

  it('comes to the same rows however it is cut into runs', async () => {
    const log = new SignedLog()
      .add(learned('alpha'), ahead('alpha', '1.0.0'), ahead('beta', '1.0.0'), withdraw('alpha', '0.9.0'))
      .add(learned('beta'), withdraw('beta', '*'), learned('alpha', hash('2')), ahead('beta', '1.0.0'));
    const tables: TableName[] = ['name', 'ahead', 'told', 'withdrawn'];
    const rowsOf = async (store: MemoryMetadataStore) => Promise.all(tables.map((table) => store.scan(table, '')));
    const whole = await rowsOf(await folded(log));
    for (let run = 1; run < log.size; run++)
      assert.deepEqual(await rowsOf(await folded(log, run)), whole, `${run} at once`);
  });

  it('refuses what is no entry', async () => {
    await assert.rejects(foldNames([utf8('learned/1\n')], 0, new MemoryMetadataStore()), MalformedError);
  });
});
