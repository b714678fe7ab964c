import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { text, utf8 } from '../../src/core/bytes.ts';
import { ConflictError } from '../../src/core/errors.ts';
import { leafHash } from '../../src/core/merkle.ts';
import { change } from '../../src/core/tables.ts';
import type { MetadataStore } from '../../src/io/metadata-store.ts';
import { openSqliteMetadataStore } from '../../src/io/sqlite-metadata-store.ts';
import { appendTo } from '../support/storage/append-to.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { metadataStoreContract } from './metadata-store-contract.ts';

const FILE = 'metadata.sqlite';
const open = (folder: string) => openSqliteMetadataStore(join(folder, FILE));

metadataStoreContract('sqlite metadata store', open, {
  durable: true,
  appendWithoutTree: async (_, folder, entries) => {
    const db = new DatabaseSync(join(folder, FILE));
    for (const [at, entry] of entries.entries()) db.prepare('INSERT INTO journal VALUES (?, ?)').run(at, entry);
    db.close();
  },
});

test('sqlite metadata store says what is wrong with a file that is no database', async () => {
  await assert.rejects(open(join(tempFolder(), 'no-such-folder')), /metadata.sqlite/);
});

describe('sqlite metadata store: two that have the same file open', () => {
  const withTwo = (title: string, body: (one: MetadataStore, other: MetadataStore) => Promise<void>): void => {
    test(title, async () => {
      const folder = tempFolder();
      const [one, other] = [await open(folder), await open(folder)];
      await body(one, other);
      await Promise.all([one.close(), other.close()]);
    });
  };
  const texts = async (store: MetadataStore) => (await store.entries(0, 9)).map((entry) => text(entry));

  withTwo(
    'can not fork the log: the second to append is refused, and sees what the first one wrote',
    async (one, other) => {
      const empty = await other.head();
      await appendTo(one, [utf8('a')]);
      const forked = { from: empty, to: { size: 1, root: leafHash(utf8('b')) }, tiles: [] };
      const error = await other.append([utf8('b')], forked).catch((reason) => reason);
      assert.ok(error instanceof ConflictError);
      assert.match(error.message, /from 0 entries .* to 1 entries: its tree is at 1 entries with root [0-9a-f]{64}/);
      assert.deepEqual([await other.head(), await other.size()], [await one.head(), 1]);
      assert.deepEqual(await texts(other), ['a']);
      await appendTo(other, [utf8('b')]);
      assert.deepEqual(await texts(one), ['a', 'b']);
    },
  );

  withTwo('that append at once: one wins, whichever it is', async (one, other) => {
    const results = await Promise.allSettled([appendTo(one, [utf8('a')]), appendTo(other, [utf8('b')])]);
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    assert.deepEqual(await texts(one), [results[0].status === 'fulfilled' ? 'a' : 'b']);
    assert.deepEqual(await one.head(), { size: 1, root: leafHash((await one.entries(0, 1))[0] as Uint8Array) });
  });

  withTwo('can not fold an entry twice', async (one, other) => {
    await appendTo(one, [utf8('a')]);
    const row = (seq: number) => change('package', 'x', { head: null, seq, withdrawn: null });
    await one.fold([row(1)], 0, 1);
    await assert.rejects(other.fold([row(2)], 0, 1), /the fold is at entry 1, the journal holds 1/);
    assert.deepEqual(await other.get('package', 'x'), { head: null, seq: 1, withdrawn: null });
    assert.equal(await other.folded(), 1);
  });
});
