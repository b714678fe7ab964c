import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex, utf8 } from '../../src/core/bytes.ts';
import { openCheckpoint } from '../../src/core/checkpoint.ts';
import { type Entry, entrySortKey, formatEntry, looksLike, parseEntry } from '../../src/core/entry.ts';
import { MalformedError } from '../../src/core/errors.ts';
import { sha256 } from '../../src/core/hash.ts';
import { ENTRY_BYTES_MAX } from '../../src/core/limits.ts';
import { checkLogKey } from '../../src/core/log-key.ts';
import { leafHash, rootHash } from '../../src/core/merkle.ts';
import { formatVkey } from '../../src/core/note.ts';
import { exampleSigner } from '../support/example-keys.ts';
import { anyEntry, entryKinds } from '../support/index-records.ts';
import { assertOneForm } from '../support/one-form.ts';
import { protocolExample, protocolExamples, protocolText } from '../support/protocol-examples.ts';

const examples = protocolExamples('entry');

test('an entry has one form in bytes', () => assertOneForm(anyEntry, formatEntry, parseEntry, 2_000));

test('an entry looks like its own kind and no other', () => {
  const kinds = entryKinds as readonly Entry['kind'][];
  for (const { text } of examples) {
    const bytes = utf8(text);
    assert.deepEqual(
      kinds.filter((kind) => looksLike(kind, bytes)),
      [parseEntry(bytes).kind],
    );
    assert.ok(!kinds.some((kind) => looksLike(kind, bytes.subarray(0, 5))));
  }
});

test('docs/protocol.md shows each kind, with its leaf hash', () => {
  const entries = examples.map(({ text }) => parseEntry(utf8(text)));
  assert.deepEqual(
    entries.map((entry) => entry.kind),
    entryKinds,
  );
  for (const [at, entry] of entries.entries()) {
    const bytes = formatEntry(entry);
    assert.deepEqual(bytes, utf8(examples[at]?.text ?? ''));
    assert.deepEqual(examples[at]?.hashes, [toHex(leafHash(bytes))]);
  }
});

test('the log key of the examples was replaced by the root key', () => {
  const entry = examples.map(({ text }) => parseEntry(utf8(text))).find(({ kind }) => kind === 'log-key');
  assert.ok(entry?.kind === 'log-key');
  const root = exampleSigner('open-registry/0123456789abcdef/root', 'example root key');
  checkLogKey(entry, formatVkey(root.name, root.publicKey));
});

test('the examples make the checkpoint in docs/protocol.md', () => {
  const { text } = protocolExample('checkpoint');
  const { name, publicKey } = exampleSigner('open-registry/0123456789abcdef', 'example next log key');
  const { checkpoint } = openCheckpoint(text, [formatVkey(name, publicKey)], name);
  const leaves = examples.map((example) => leafHash(utf8(example.text)));
  assert.deepEqual([checkpoint.size, checkpoint.root], [leaves.length, rootHash(leaves)]);
});

test('the examples make the log with the root in docs/protocol.md', () => {
  const root = rootHash(examples.map(({ text }) => leafHash(utf8(text))));
  assert.match(protocolText, new RegExp(`has the root\n\`${toHex(root)}\``));
});

test('names are sorted by their hash, entries without one come first', () => {
  const [learned, , measured] = examples.map(({ text }) => parseEntry(utf8(text)));
  assert.equal(entrySortKey(learned as Entry), toHex(sha256(utf8('@example/hello'))));
  assert.match(protocolText, new RegExp(`sorts as\\s+\`${entrySortKey(learned as Entry)}\``));
  assert.equal(entrySortKey(measured as Entry), '');
});

const head = 'a'.repeat(64);
const learned = ['learned/1', 'time 1', 'name a', `head ${head}`, ''];
/** Lines of a good entry with some replaced, and the line and words that the error must have. */
const refused: [why: string, lines: string[], line: number | null, words: RegExp][] = [
  ['nothing', [], 1, /"" is no kind of entry that this version knows \(learned\/1, /],
  ['no end of line', learned.slice(0, -1), 4, /does not end in a line feed/],
  ['an unknown kind', ['publish/1', ...learned.slice(1)], 1, /"publish\/1" is no kind of entry/],
  ['a version of commit to come', ['commit/1', 'time 1', ''], 1, /"commit\/1" is no kind of entry/],
  ['an unknown version of a kind', ['learned/2', ...learned.slice(1)], 1, /"learned\/2" is no kind/],
  ['a kind from the prototype', ['toString/1', ...learned.slice(1)], 1, /"toString\/1" is no kind/],
  ['a carriage return', ['learned/1\r', ...learned.slice(1)], 1, /"learned\/1\\r" is no kind/],
  ['a byte order mark', ['\ufefflearned/1', ...learned.slice(1)], 1, /is no kind/],
  ['a missing field', ['learned/1', 'time 1', 'name a', ''], 4, /expected "head …", found the end/],
  [
    'fields in another order',
    ['learned/1', 'name a', 'time 1', `head ${head}`, ''],
    2,
    /expected "time …", found "name a"/,
  ],
  ['a repeated field', ['learned/1', 'time 1', 'time 1', 'name a', ''], 3, /expected "name …", found "time 1"/],
  ['a field too many', [...learned.slice(0, -1), 'more 1', ''], 5, /expected the end, found "more 1"/],
  ['an empty line at the end', [...learned, ''], 5, /expected the end, found ""/],
  ['a leading zero', learned.with(1, 'time 01'), 2, /time is "01", expected a decimal number/],
  ['a second space', learned.with(1, 'time  1'), 2, /time is " 1"/],
  ['a trailing space', learned.with(2, 'name a '), 3, /name is "a ", expected 1 to 214 visible ASCII/],
  ['an upper-case hash', learned.with(3, `head ${head.toUpperCase()}`), 4, /expected 64 lower-case hex digits/],
  ['a short hash', learned.with(3, 'head aa'), 4, /head is "aa"/],
  ['a line without a value', learned.with(3, 'head'), 4, /expected "head …", found "head"/],
];
for (const [why, lines, line, words] of refused) {
  test(`an entry with ${why} is refused at line ${line}`, () => {
    const isRight = (error: unknown) => {
      assert.ok(error instanceof MalformedError);
      assert.match(error.message, words);
      assert.equal(error.line, line);
      return true;
    };
    assert.throws(() => parseEntry(utf8(lines.join('\n'))), isRight);
  });
}

test('bytes that are not UTF-8, or too many, are refused', () => {
  assert.throws(() => parseEntry(Uint8Array.of(0xff, 0x0a)), { format: 'journal entry' });
  assert.throws(() => parseEntry(new Uint8Array(ENTRY_BYTES_MAX + 1)), /at most 65535/);
});

const evict = { kind: 'host-evict', time: 0, host: '0'.repeat(16), reason: 'x' } as const;
const example = (kind: Entry['kind']) =>
  parseEntry(utf8(examples.find(({ text }) => text.startsWith(`${kind}/1\n`))?.text ?? ''));
const zeros = '0'.repeat(16);
const claimed = formatVkey(`host/${zeros}`, new Uint8Array(32));
const logKey = example('log-key') as Extract<Entry, { kind: 'log-key' }>;
const unwritable: [string, Entry][] = [
  ['a fraction', { ...evict, time: 0.5 }],
  ['a negative number', { ...evict, time: -1 }],
  ['a number that is none', { ...evict, time: Number.NaN }],
  ['an unsafe number', { ...evict, time: 2 ** 53 }],
  ['a second line', { ...evict, reason: 'a\nmore 1' }],
  ['half a character', { ...evict, reason: '\ud800' }],
  ['a missing value', { ...evict, reason: undefined as unknown as string }],
  ['the version *', { ...example('learned-version'), version: '*' } as Entry],
  ['another sha512 than the pinned one', { ...example('measured'), sha512: '0'.repeat(128) } as Entry],
  ['a host that is not its key', { ...example('host-admit'), host: zeros } as Entry],
  ['a host that its key only claims to be', { ...example('host-admit'), host: zeros, key: claimed } as Entry],
  ['a log key of another log', { ...example('log-key'), key: formatVkey('log.example', new Uint8Array(32)) } as Entry],
  ['a log key that is the one before', { ...logKey, previous: logKey.key }],
  ['a signature that is too short', { ...logKey, signature: 'AAAA' }],
  ['a key named otherwise', { ...example('host-admit'), key: formatVkey('host/x', new Uint8Array(32)) } as Entry],
];
for (const [why, entry] of unwritable) {
  test(`an entry with ${why} is not written`, () => assert.throws(() => formatEntry(entry), MalformedError));
}

test('an entry whose values contradict each other is not read', () => {
  const text = (kind: string) => examples.find((one) => one.text.startsWith(`${kind}/1\n`))?.text ?? '';
  const otherHost = text('host-admit').replace(/host [0-9a-f]{16}/, `host ${'0'.repeat(16)}`);
  assert.throws(() => parseEntry(utf8(otherHost)), /line 5: the key is not the one of host 0000000000000000/);
  const otherHash = text('measured').replace(/\nsha512 ../, '\nsha512 ff');
  assert.throws(() => parseEntry(utf8(otherHash)), /line 4: the tarball is pinned by another sha512/);
});
