import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compare, text, utf8 } from '../../src/core/bytes.ts';
import { ConflictError } from '../../src/core/errors.ts';
import { type Change, change, DERIVED_TABLES, type PackageRow } from '../../src/core/tables.ts';
import type { MetadataStore } from '../../src/io/metadata-store.ts';
import { tempFolder } from '../support/temp-folder.ts';

const packageRow = (seq: number): PackageRow => ({ head: null, seq, withdrawn: null });
const setting = (key: string, value: string): Change => change('setting', key, { value });
const texts = (entries: Uint8Array[]): string[] => entries.map((entry) => text(entry));

/**
 * Every promise of `MetadataStore`, as tests. `open` opens the store in a folder; what is `durable` is there again when it
 * is opened anew.
 */
export function metadataStoreContract(
  name: string,
  open: (folder: string) => Promise<MetadataStore>,
  { durable }: { durable: boolean },
): void {
  const check = (title: string, body: (store: MetadataStore) => Promise<void>): void => {
    test(title, async () => {
      const store = await open(tempFolder());
      await body(store);
      await store.close();
    });
  };

  describe(`${name}: journal`, () => {
    check('is empty at first', async (store) => {
      assert.equal(await store.size(), 0);
      assert.equal(await store.folded(), 0);
      assert.deepEqual(await store.entries(0, 10), []);
    });

    check('keeps entries in order, byte for byte', async (store) => {
      await store.append([utf8('a'), utf8('b')], 0);
      await store.append([Uint8Array.of(0, 255)], 2);
      assert.equal(await store.size(), 3);
      assert.deepEqual(await store.entries(1, 10), [utf8('b'), Uint8Array.of(0, 255)]);
      assert.deepEqual(texts(await store.entries(0, 1)), ['a']);
      assert.deepEqual(await store.entries(3, 1), []);
    });

    check('keeps only the bytes of a view, not the buffer behind it', async (store) => {
      const whole = utf8('0123456789');
      await store.append([whole.subarray(2, 4), whole.subarray(4, 5)], 0);
      assert.deepEqual(texts(await store.entries(0, 2)), ['23', '4']);
      assert.equal(text(whole), '0123456789');
    });

    check('refuses entries for another size', async (store) => {
      await store.append([utf8('a')], 0);
      await assert.rejects(store.append([utf8('b')], 0), ConflictError);
      await assert.rejects(store.append([utf8('b')], 2), ConflictError);
      assert.deepEqual(texts(await store.entries(0, 9)), ['a']);
    });

    check('lets one of two appends at the same place win', async (store) => {
      const results = await Promise.allSettled([store.append([utf8('a')], 0), store.append([utf8('b')], 0)]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ['fulfilled', 'rejected'],
      );
      assert.deepEqual(texts(await store.entries(0, 9)), ['a']);
    });
  });

  describe(`${name}: fold`, () => {
    check('moves with its rows', async (store) => {
      await store.append([utf8('a'), utf8('b')], 0);
      await store.fold([change('package', 'x', packageRow(1))], 0, 2);
      assert.equal(await store.folded(), 2);
      assert.deepEqual(await store.get('package', 'x'), packageRow(1));
    });

    check('is refused from another place or beyond the journal, rows and all', async (store) => {
      await store.append([utf8('a')], 0);
      const changes = [change('package', 'x', packageRow(1))];
      await assert.rejects(store.fold(changes, 1, 1), ConflictError);
      await assert.rejects(store.fold(changes, 0, 2), ConflictError);
      assert.equal(await store.get('package', 'x'), null);
      assert.equal(await store.folded(), 0);
    });

    check('starts again when the derived tables are cleared, and keeps local ones', async (store) => {
      await store.append([utf8('a')], 0);
      await store.fold([change('package', 'x', packageRow(1))], 0, 1);
      await store.write([setting('s', '1')]);
      await store.clear(DERIVED_TABLES);
      assert.equal(await store.folded(), 0);
      assert.equal(await store.count('package'), 0);
      assert.deepEqual(await store.get('setting', 's'), { value: '1' });
      await store.fold([change('package', 'x', packageRow(2))], 0, 1);
      assert.deepEqual(await store.get('package', 'x'), packageRow(2));
    });

    check('keeps its place when a local table is cleared', async (store) => {
      await store.append([utf8('a')], 0);
      await store.fold([], 0, 1);
      await store.write([setting('s', '1')]);
      await store.clear(['setting']);
      assert.equal(await store.folded(), 1);
      assert.equal(await store.get('setting', 's'), null);
    });
  });

  describe(`${name}: rows`, () => {
    check('are written, replaced and removed in the order of the changes', async (store) => {
      await store.write([setting('a', '1'), setting('b', '1'), setting('a', '2'), change('setting', 'b', null)]);
      assert.deepEqual(await store.get('setting', 'a'), { value: '2' });
      assert.equal(await store.get('setting', 'b'), null);
      assert.equal(await store.count('setting'), 1);
    });

    check('are counted per table', async (store) => {
      await store.write([setting('a', '1'), setting('b', '1'), change('tarball-url', 'a', { url: 'u' })]);
      await store.write([setting('a', '2'), change('setting', 'never', null), change('setting', 'b', null)]);
      assert.equal(await store.count('setting'), 1);
      assert.equal(await store.count('tarball-url'), 1);
      assert.equal(await store.count('incident'), 0);
    });

    check('of a refused batch are not there', async (store) => {
      await assert.rejects(store.write([setting('a', '1'), setting('\ud800', '1')]));
      assert.equal(await store.get('setting', 'a'), null);
      await store.write([setting('a', '2')]);
      assert.deepEqual(await store.get('setting', 'a'), { value: '2' });
    });

    check('are copies: changing one changes nothing stored', async (store) => {
      await store.write([setting('a', '1')]);
      const row = (await store.get('setting', 'a')) as { value: string };
      row.value = 'changed';
      assert.deepEqual(await store.get('setting', 'a'), { value: '1' });
    });

    check('hold any text', async (store) => {
      const value = 'nul \u0000, quote ", line\n, \u{1f4e6}';
      await store.write([setting('k', value)]);
      assert.deepEqual(await store.get('setting', 'k'), { value });
    });

    check('written together are seen together', async (store) => {
      const batch = (value: string): Change[] => Array.from({ length: 500 }, (_, i) => setting(`k${i}`, value));
      await store.write(batch('0'));
      const writes = Promise.all(['1', '2', '3'].map((value) => store.write(batch(value))));
      let writing = true;
      void writes.finally(() => {
        writing = false;
      });
      while (writing) {
        const seen = await store.scan('setting', 'k');
        assert.equal(new Set(seen.map(({ row }) => row.value)).size, 1);
        await new Promise(setImmediate);
      }
      await writes;
      assert.deepEqual(await store.get('setting', 'k7'), { value: '3' });
    });
  });

  describe(`${name}: scan`, () => {
    const keys = ['', 'a', 'a\u0000', 'a\u00001', 'a\u00002', 'ab', 'b', 'é', '\uffff', '\u{10000}'];

    check('gives the keys with a prefix, in the order of their bytes', async (store) => {
      await store.write(keys.toReversed().map((key) => setting(key, key)));
      await store.write([setting('other', '')]);
      const scan = async (prefix: string): Promise<string[]> =>
        (await store.scan('setting', prefix)).map(({ key }) => key);
      assert.deepEqual(await scan('a\u0000'), ['a\u0000', 'a\u00001', 'a\u00002']);
      assert.deepEqual(await scan('a'), ['a', 'a\u0000', 'a\u00001', 'a\u00002', 'ab']);
      assert.deepEqual(
        (await scan('')).filter((key) => key !== 'other'),
        keys,
      );
      assert.deepEqual(await scan('nothing'), []);
    });

    check('goes on after a key, and stops at a limit', async (store) => {
      await store.write(['a', 'b1', 'b2', 'b3', 'c'].map((key) => setting(key, key)));
      const scan = async (options: { after?: string; limit?: number }): Promise<string[]> =>
        (await store.scan('setting', 'b', options)).map(({ key }) => key);
      assert.deepEqual(await scan({ limit: 2 }), ['b1', 'b2']);
      assert.deepEqual(await scan({ after: 'b2' }), ['b3']);
      assert.deepEqual(await scan({ after: 'a', limit: 1 }), ['b1']);
      assert.deepEqual(await scan({ after: 'b3' }), []);
      assert.deepEqual(await scan({ limit: 0 }), []);
    });

    test('gives what a sorted map would, page by page', async () => {
      const key = fc.string({ unit: fc.constantFrom('a', 'b', '\u0000', 'é', '\u{10ffff}'), maxLength: 4 });
      const store = await open(tempFolder());
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(key, { maxLength: 30 }),
          key,
          fc.integer({ min: 1, max: 5 }),
          async (keys, prefix, limit) => {
            await store.clear(['setting']);
            await store.write(keys.map((one) => setting(one, one)));
            const expected = keys.filter((one) => one.startsWith(prefix)).sort((a, b) => compare(utf8(a), utf8(b)));
            assert.deepEqual(await pages(store, prefix, limit), expected);
            assert.equal(await store.count('setting'), keys.length);
          },
        ),
        { numRuns: 50 },
      );
      await store.close();
    });
  });

  describe(`${name}: close`, () => {
    test('waits for the writes before it, then every method rejects', async () => {
      const store = await open(tempFolder());
      const written = store.write([setting('a', '1')]);
      await store.close();
      await written;
      await store.close();
      await assert.rejects(store.size(), /closed/);
      await assert.rejects(store.append([], 0), /closed/);
      await assert.rejects(store.entries(0, 1), /closed/);
      await assert.rejects(store.folded(), /closed/);
      await assert.rejects(store.fold([], 0, 0), /closed/);
      await assert.rejects(store.write([]), /closed/);
      await assert.rejects(store.get('setting', 'a'), /closed/);
      await assert.rejects(store.scan('setting', ''), /closed/);
      await assert.rejects(store.count('setting'), /closed/);
      await assert.rejects(store.clear(['setting']), /closed/);
    });

    if (!durable) return;
    test('loses nothing', async () => {
      const folder = tempFolder();
      const store = await open(folder);
      await store.append([utf8('a'), utf8('b')], 0);
      await store.fold([change('package', 'x', packageRow(1))], 0, 1);
      await store.write([setting('s', '1')]);
      await store.close();
      const again = await open(folder);
      assert.equal(await again.size(), 2);
      assert.equal(await again.folded(), 1);
      assert.deepEqual(texts(await again.entries(0, 9)), ['a', 'b']);
      assert.deepEqual(await again.get('package', 'x'), packageRow(1));
      assert.equal(await again.count('setting'), 1);
      await again.close();
    });
  });
}

async function pages(store: MetadataStore, prefix: string, limit: number): Promise<string[]> {
  const keys: string[] = [];
  for (let after: { after?: string } = {}; ; after = { after: keys.at(-1) as string }) {
    const page = await store.scan('setting', prefix, { ...after, limit });
    keys.push(...page.map(({ key }) => key));
    if (page.length < limit) return keys;
  }
}
