import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, toHex, utf8 } from '../../src/core/bytes.ts';
import { MalformedError } from '../../src/core/errors.ts';
import { sha256Hex } from '../../src/core/hash.ts';
import {
  formatHead,
  formatVersionEntry,
  type Head,
  parseHead,
  parsePage,
  parseVersionEntry,
  type VersionEntry,
} from '../../src/core/head.ts';
import { leafHash, rootHash } from '../../src/core/merkle.ts';
import { formatPages, openPages, readPages } from '../../src/core/pages.ts';
import { finish } from '../../src/core/steps.ts';
import { anyHead, anyVersionEntry } from '../support/index-records.ts';
import { assertOneForm } from '../support/one-form.ts';
import { protocolBlob, protocolExample } from '../support/protocol-examples.ts';

test('a head has one form in bytes', () => assertOneForm(anyHead, formatHead, parseHead, 500));

test('a version entry has one form in bytes', () => {
  assertOneForm(anyVersionEntry, (entry) => utf8(formatVersionEntry(entry)), parseVersionEntry, 500);
});

const headText = protocolExample('head').text;
const head = parseHead(utf8(headText));
const page = utf8(protocolExample('page').text);

test('the head of docs/protocol.md, its page, its blobs and its forms belong together', () => {
  assert.deepEqual([sha256Hex(formatHead(head))], protocolExample('head').hashes);
  assert.deepEqual([[sha256Hex(page)], [sha256Hex(page)]], [head.pages, protocolExample('page').hashes]);
  const [first, second] = openPages(head, [page]);
  assert.deepEqual(
    [first?.manifest, first?.abbreviated],
    [sha256Hex(protocolBlob('m1')), sha256Hex(protocolBlob('a1'))],
  );
  assert.deepEqual(
    [second?.manifest, second?.abbreviated],
    [sha256Hex(protocolBlob('m2')), sha256Hex(protocolBlob('a2'))],
  );
  assert.deepEqual([head.tags, head.top], [sha256Hex(protocolBlob('tags')), sha256Hex(protocolBlob('top'))]);
  for (const kind of ['full', 'abbreviated'] as const) {
    const bytes = protocolBlob(kind);
    assert.deepEqual(head[kind], { size: bytes.length, sha256: sha256Hex(bytes) });
    assert.equal(JSON.parse(new TextDecoder().decode(bytes)).name, head.name);
  }
});

test('the version entry of docs/protocol.md cuts its blobs between the quotes', () => {
  const example = protocolExample('version-entry');
  const entry = parseVersionEntry(example.text);
  assert.deepEqual(example.hashes, [sha256Hex(utf8(formatVersionEntry(entry)))]);
  for (const [label, cut] of [
    ['m2', entry.cut],
    ['a2', entry.abbreviatedCut],
  ] as const) {
    const blob = new TextDecoder().decode(protocolBlob(label));
    assert.ok(blob.slice(0, cut).endsWith('"tarball":"') && blob.slice(cut).startsWith('"'));
  }
});

const entryOf = (at: number): VersionEntry => ({
  version: `${at}.0.0`,
  manifest: 'a'.repeat(64),
  cut: at,
  file: `p-${at}.0.0.tgz`,
  abbreviated: 'b'.repeat(64),
  abbreviatedCut: at,
  pinned: { algorithm: 'sha1', hex: 'c'.repeat(40) },
});
const paginate = (lines: readonly string[]) => finish(formatPages(lines.map(parseVersionEntry))).pages;
/** Over all lines at once, as docs/protocol.md has it. */
const versionsRoot = (lines: readonly string[]) => toHex(rootHash(lines.map((line) => leafHash(utf8(line)))));
const linesOf = (size: number) => Array.from({ length: size }, (_, at) => formatVersionEntry(entryOf(at)));
const headOf = (lines: string[]): Head => ({
  ...head,
  versions: { count: lines.length, root: versionsRoot(lines) },
  pages: paginate(lines).map(sha256Hex),
});

for (const [size, pages] of [
  [0, 0],
  [1, 1],
  [255, 1],
  [256, 1],
  [257, 2],
  [512, 2],
  [513, 3],
] as const) {
  test(`${size} version entries fill ${pages} pages and are read back in order`, () => {
    const lines = linesOf(size);
    const blobs = paginate(lines);
    assert.equal(blobs.length, pages);
    assert.deepEqual(concat(blobs), utf8(lines.join('')));
    assert.ok(blobs.slice(0, -1).every((blob) => parsePage(blob).length === 256));
    assert.deepEqual(
      openPages(headOf(lines), blobs),
      Array.from({ length: size }, (_, at) => entryOf(at)),
    );
  });
}

test('the root of pages is that of all their lines, around each border between pages', () => {
  const entries = Array.from({ length: 1_300 }, (_, at) => entryOf(at));
  const lines = entries.map(formatVersionEntry);
  const borders = [0, 256, 512, 768, 1_024, 1_280].flatMap((size) => [-2, -1, 0, 1, 2, 3].map((by) => size + by));
  for (const size of borders.filter((at) => at >= 0)) {
    const { count, root } = finish(formatPages(entries.slice(0, size)));
    assert.deepEqual({ count, root }, { count: size, root: versionsRoot(lines.slice(0, size)) });
  }
});

test('pages are made and read a step at a time', () => {
  const entries = Array.from({ length: 600 }, (_, at) => entryOf(at));
  const blobs = paginate(entries.map(formatVersionEntry));
  assert.equal([...formatPages(entries)].length, 3);
  assert.equal([...readPages(headOf(entries.map(formatVersionEntry)), blobs)].length, 3);
});

test('a new version leaves all pages but the last as they are', () => {
  const [before, after] = [paginate(linesOf(600)), paginate(linesOf(601))];
  assert.deepEqual(after.slice(0, -1), before.slice(0, -1));
});

test('pages that are not those of the head are refused', () => {
  const lines = linesOf(300);
  const blobs = paginate(lines);
  const swapped = paginate([...lines.slice(0, 298), lines[299] as string, lines[298] as string]);
  assert.throws(
    () => openPages(headOf(lines), swapped),
    /300 version entries with root .* the pages hold 300 with root/,
  );
  assert.throws(() => openPages(headOf(lines), blobs.slice(0, 1)), /the pages hold 256/);
  const uneven = [lines.slice(0, 100), lines.slice(100, 300)].map((some) => utf8(some.join('')));
  assert.throws(() => openPages(headOf(lines), uneven), /page 1 of @example\/hello is not full, but not the last/);
  const twice = [...lines.slice(0, 299), lines[0] as string];
  assert.throws(() => openPages(headOf(twice), paginate(twice)), /listed twice/);
});

test('a page is neither empty nor overfull', () => {
  assert.throws(() => parsePage(new Uint8Array(0)), /0 version entries, expected 1 to 256/);
  assert.throws(() => parsePage(utf8(linesOf(257).join(''))), /257 version entries/);
});

const goodLine = linesOf(1)[0] as string;
const refusedLines = [
  ['a value too few', goodLine.replace(/ \S+\n$/, '\n'), /has 6 values, expected 7: version manifest cut file/],
  ['a value too many', goodLine.replace('\n', ' x\n'), /has 8 values/],
  ['no line feed', goodLine.trimEnd(), /does not end in a line feed/],
  ['a second line', goodLine + goodLine, /line 2: expected the end/],
  ['a bad offset', goodLine.replace(' 0 ', ' 00 '), /cut is "00", expected a decimal number/],
  ['a path as file', goodLine.replace(' p-', ' ../p-'), /file is "..\/p-0.0.0.tgz"/],
] as const;
for (const [why, line, words] of refusedLines) {
  test(`a version entry with ${why} is refused`, () => {
    assert.throws(() => parseVersionEntry(line), { name: 'MalformedError', message: words });
  });
}

test('an error in a page names its line', () => {
  const bad = `${goodLine}${goodLine.replace(' 0 ', ' -1 ')}`;
  assert.throws(() => parsePage(utf8(bad)), { format: 'page', line: 2 });
});

const refusedHeads: [why: string, text: string, line: number | null, words: RegExp][] = [
  ['another format', headText.replace('head/1', 'head/2'), 1, /expected head\/1, found "head\/2"/],
  ['seq 0', headText.replace('seq 2', 'seq 0'), 3, /seq is "0", expected .* at least 1/],
  [
    'an unknown assembly rule',
    headText.replace('assembly/1', 'assembly/2'),
    4,
    /assembly is "assembly\/2", expected assembly\/1/,
  ],
  ['no page', headText.replace(/page .*\n/, ''), null, /2 versions need 1 pages, found 0/],
  ['a page too many', headText.replace(/(page .*\n)/, '$1$1'), null, /found 2/],
  ['a bad page', headText.replace(/page ./, 'page X'), 8, /page is "X/],
  ['a page elsewhere', headText.replace(/(page .*\n)(full .*\n)/, '$2$1'), 8, /need 1 pages|expected "abbreviated …"/],
  ['more versions than a head may have', headText.replace('versions 2', 'versions 262145'), null, /at most 262144/],
  ['no root', headText.replace(/versions 2 .*/, 'versions 2'), 7, /versions is "2", expected <count> <root>/],
  ['more at its end', `${headText}more 1\n`, 11, /expected the end, found "more 1"/],
  ['its end cut off', headText.slice(0, -1), 10, /line feed/],
];
for (const [why, text, line, words] of refusedHeads) {
  test(`a head with ${why} is refused`, () => {
    assert.throws(
      () => parseHead(utf8(text)),
      (error: MalformedError) => {
        assert.match(error.message, words);
        if (!words.source.includes('|')) assert.equal(error.line, line);
        return error instanceof MalformedError;
      },
    );
  });
}

test('a head that could not be read again is not written', () => {
  assert.throws(() => formatHead({ ...head, name: 'a b' }), /name is "a b"/);
  assert.throws(() => formatHead({ ...head, pages: [] }), /need 1 pages/);
  assert.throws(() => formatHead({ ...head, full: { size: -1, sha256: head.full.sha256 } }), MalformedError);
});
