import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compare, concat, text, utf8 } from '../../src/core/bytes.ts';
import { ConflictError } from '../../src/core/errors.ts';
import { leafHash, rootHash, type TreeHead } from '../../src/core/merkle.ts';
import { type Change, change, DERIVED_TABLES, type PackageRow } from '../../src/core/tables.ts';
import type { Growth, MetadataStore } from '../../src/io/metadata-store.ts';
import { tempFolder } from '../support/temp-folder.ts';

const packageRow = (seq: number): PackageRow => ({ head: null, seq, withdrawn: null });
const setting = (key: string, value: string): Change => change('setting', key, { value });
const texts = (entries: Uint8Array[]): string[] => entries.map((entry) => text(entry));

const headOf = (leaves: readonly string[]): TreeHead => ({
  size: leaves.length,
  root: rootHash(leaves.map((leaf) => leafHash(utf8(leaf)))),
});

/** How the tree over `leaves` grows when `added` come to it, in the one tile that so few need. */
function growth(leaves: readonly string[], added: readonly string[]): Growth {
  const all = [...leaves, ...added];
  return { from: headOf(leaves), to: headOf(all), tiles: [{ level: 0, index: 0, hashes: tileOf(all) }] };
}

const tileOf = (leaves: readonly string[]): Uint8Array => concat(leaves.map((leaf) => leafHash(utf8(leaf))));

/** Appends `added` to a log of `leaves`. */
const grow = (store: MetadataStore, leaves: readonly string[], added: readonly string[]): Promise<void> =>
  store.append(
    added.map((leaf) => utf8(leaf)),
    growth(leaves, added),
  );

/** What of the contract can be seen of a kind of store. */
type Abilities = {
  /** It is there again when it is opened anew. */
  readonly durable: boolean;
  /** Adds entries behind the store's back, as a version did that kept no tree. */
  readonly appendWithoutTree?: (store: MetadataStore, folder: string, entries: Uint8Array[]) => Promise<void>;
};

/**
 * Every promise of `MetadataStore`, as tests. `open` opens the store in a folder.
 */
export function metadataStoreContract(
  name: string,
  open: (folder: string) => Promise<MetadataStore>,
  { durable, appendWithoutTree }: Abilities,
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
      await grow(store, [], ['a', 'b']);
      await store.append([Uint8Array.of(0, 255)], { from: headOf(['a', 'b']), to: headOf(['a', 'b', 'c']), tiles: [] });
      assert.equal(await store.size(), 3);
      assert.deepEqual(await store.entries(1, 10), [utf8('b'), Uint8Array.of(0, 255)]);
      assert.deepEqual(texts(await store.entries(0, 1)), ['a']);
      assert.deepEqual(await store.entries(3, 1), []);
    });

    check('keeps only the bytes of a view, not the buffer behind it', async (store) => {
      const whole = utf8('0123456789');
      const entries = [whole.subarray(2, 4), whole.subarray(4, 5)];
      await store.append(entries, growth([], ['23', '4']));
      assert.deepEqual(texts(await store.entries(0, 2)), ['23', '4']);
      assert.equal(text(whole), '0123456789');
    });
  });

  describe(`${name}: tree`, () => {
    check('is empty at first', async (store) => {
      assert.deepEqual(await store.head(), headOf([]));
      assert.equal(await store.tile(0, 0), null);
    });

    check('moves with the entries', async (store) => {
      await grow(store, [], ['a']);
      assert.deepEqual(await store.head(), headOf(['a']));
      assert.deepEqual(await store.tile(0, 0), tileOf(['a']));
      await grow(store, ['a'], ['b', 'c']);
      assert.deepEqual(await store.head(), headOf(['a', 'b', 'c']));
      assert.deepEqual(await store.tile(0, 0), tileOf(['a', 'b', 'c']));
      assert.equal(await store.size(), 3);
    });

    check('keeps tiles apart by level and index, also beyond 32 bits', async (store) => {
      const places = [
        [0, 1],
        [1, 0],
        [1, 2 ** 40],
      ] as const;
      const tiles = places.map(([level, index], i) => ({ level, index, hashes: tileOf([`${i}`]) }));
      await store.append([utf8('a')], { ...growth([], ['a']), tiles });
      for (const [i, [level, index]] of places.entries())
        assert.deepEqual(await store.tile(level, index), tileOf([`${i}`]));
      assert.equal(await store.tile(0, 0), null);
    });

    check('keeps only the bytes of a tile, not the buffer behind it', async (store) => {
      const whole = tileOf(['a', 'b', 'c']);
      const tiles = [{ level: 0, index: 0, hashes: whole.subarray(32, 64) }];
      await store.append([utf8('b')], { ...growth([], ['b']), tiles });
      assert.deepEqual(await store.tile(0, 0), tileOf(['b']));
      assert.equal(whole.length, 96);
    });

    check('refuses to grow from what it is not, be it size or root, and then changes nothing', async (store) => {
      await grow(store, [], ['a', 'b']);
      const refused: [string, Growth][] = [
        ['a smaller tree', growth(['a'], ['x'])],
        ['a larger tree', growth(['a', 'b', 'c'], ['x'])],
        ['another tree of the same size', growth(['a', 'B'], ['x'])],
      ];
      for (const [what, wrong] of refused) await assert.rejects(store.append([utf8('x')], wrong), ConflictError, what);
      assert.deepEqual(texts(await store.entries(0, 9)), ['a', 'b']);
      assert.deepEqual(await store.head(), headOf(['a', 'b']));
      assert.deepEqual(await store.tile(0, 0), tileOf(['a', 'b']));
      await grow(store, ['a', 'b'], ['c']);
    });

    check('lets one of two appends at the same place win', async (store) => {
      const results = await Promise.allSettled([grow(store, [], ['a']), grow(store, [], ['b'])]);
      assert.deepEqual(
        results.map(({ status }) => status),
        ['fulfilled', 'rejected'],
      );
      assert.deepEqual(texts(await store.entries(0, 9)), ['a']);
      assert.deepEqual(await store.head(), headOf(['a']));
    });

    check('refuses entries that it does not count', async (store) => {
      const miscounted = { from: headOf([]), to: headOf(['a', 'b']), tiles: [] };
      await assert.rejects(store.append([utf8('a')], miscounted), TypeError);
      await assert.rejects(store.append([], miscounted), ConflictError);
      await assert.rejects(store.append([], { from: headOf([]), to: headOf(['a']), tiles: [] }), ConflictError);
      assert.deepEqual([await store.size(), await store.head()], [0, headOf([])]);
    });
  });

  if (appendWithoutTree !== undefined) {
    test(`${name}: a journal without a tree takes no entries until the tree has taken in those that are there`, async () => {
      const folder = tempFolder();
      const store = await open(folder);
      await appendWithoutTree(store, folder, ['a', 'b', 'c'].map(utf8));
      assert.deepEqual([await store.size(), await store.head()], [3, headOf([])]);
      await assert.rejects(grow(store, [], ['x']), ConflictError);
      await assert.rejects(store.append([], growth([], ['a', 'b', 'c', 'x'])), ConflictError);
      await store.append([], growth([], ['a', 'b']));
      assert.deepEqual([await store.size(), await store.head()], [3, headOf(['a', 'b'])]);
      await assert.rejects(grow(store, ['a', 'b'], ['x']), ConflictError);
      await store.append([], growth(['a', 'b'], ['c']));
      await grow(store, ['a', 'b', 'c'], ['d']);
      assert.deepEqual(texts(await store.entries(0, 9)), ['a', 'b', 'c', 'd']);
      assert.deepEqual(await store.head(), headOf(['a', 'b', 'c', 'd']));
      await store.close();
    });
  }

  describe(`${name}: fold`, () => {
    check('moves with its rows', async (store) => {
      await grow(store, [], ['a', 'b']);
      await store.fold([change('package', 'x', packageRow(1))], 0, 2);
      assert.equal(await store.folded(), 2);
      assert.deepEqual(await store.get('package', 'x'), packageRow(1));
    });

    check('is refused from another place or beyond the journal, rows and all', async (store) => {
      await grow(store, [], ['a']);
      const changes = [change('package', 'x', packageRow(1))];
      await assert.rejects(store.fold(changes, 1, 1), ConflictError);
      await assert.rejects(store.fold(changes, 0, 2), ConflictError);
      assert.equal(await store.get('package', 'x'), null);
      assert.equal(await store.folded(), 0);
    });

    check('starts again when the derived tables are cleared, and keeps local ones', async (store) => {
      await grow(store, [], ['a']);
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
      await grow(store, [], ['a']);
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
      await assert.rejects(store.head(), /closed/);
      await assert.rejects(store.append([], growth([], [])), /closed/);
      await assert.rejects(store.tile(0, 0), /closed/);
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
      await grow(store, [], ['a', 'b']);
      await store.fold([change('package', 'x', packageRow(1))], 0, 1);
      await store.write([setting('s', '1')]);
      await store.close();
      const again = await open(folder);
      assert.equal(await again.size(), 2);
      assert.deepEqual([await again.head(), await again.tile(0, 0)], [headOf(['a', 'b']), tileOf(['a', 'b'])]);
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
