/** What the index is made of: canonical formats, each of which has one form in bytes. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { equal, fromHex, text, utf8 } from '../../src/core/bytes.ts';
import { makeDoor } from '../../src/core/door.ts';
import { formatEntry, parseEntry } from '../../src/core/entry.ts';
import { asReason, reasonField } from '../../src/core/fields.ts';
import { formatHead, formatVersionEntry, parseHead, parsePage, parseVersionEntry } from '../../src/core/head.ts';
import { formatHostsList, type HostsList, openHostsList, parseHostsList } from '../../src/core/hosts-list.ts';
import { formatPinned, parsePinned } from '../../src/core/integrity.ts';
import { formatKeysNoteText, openKeysNote, parseKeysNoteText } from '../../src/core/keys-note.ts';
import { ENTRY_BYTES_MAX, HEAD_BYTES_MAX } from '../../src/core/limits.ts';
import { formatMeasured, openChunkList, parseMeasured } from '../../src/core/measured.ts';
import { formatVkey, hostIdOf, openNote, parseVkey, splitNote } from '../../src/core/note.ts';
import { openPages } from '../../src/core/pages.ts';
import { codePoint, pinned } from '../support/arbitrary.ts';
import { exampleSigner } from '../support/example-keys.ts';
import { anyEntry, anyHead, anyVersionEntry } from '../support/index-records.ts';
import { protocolExample, protocolExamples } from '../support/protocol-examples.ts';
import { altered, anyOf, anyText, asUtf8, onlyForm, stable } from './inputs.ts';
import type { Target } from './target.ts';

const logName = 'open-registry/0123456789abcdef';
const vkeyOf = (name: string, label: string): string => formatVkey(name, exampleSigner(name, label).publicKey);
const logKey = vkeyOf(logName, 'example log key');
const hostsKey = vkeyOf(`${logName}/hosts`, 'example hosts key');

const keysNote = protocolExample('keys-note').text;
const hostsNote = protocolExample('hosts-list').text;
const [measuredEntry] = protocolExamples('entry')
  .map((example) => parseEntry(utf8(example.text)))
  .filter((entry) => entry.kind === 'measured');
assert.ok(measuredEntry);
const head = parseHead(utf8(protocolExample('head').text));
const page = utf8(protocolExample('page').text);
const chunkList = fromHex(protocolExample('chunk-list').text.replaceAll('\n', ''));

const lines = fc.array(anyVersionEntry.map(formatVersionEntry), { minLength: 1, maxLength: 5 });
const hosts = fc
  .uniqueArray(fc.uint8Array({ minLength: 32, maxLength: 32 }), { selector: hostIdOf, maxLength: 4 })
  .map((keys) =>
    keys.map((key) => ({ id: hostIdOf(key), url: 'https://a.example', key: formatVkey(`host/${hostIdOf(key)}`, key) })),
  )
  .map((some) => some.sort((a, b) => (a.id < b.id ? -1 : 1)));
const doors = fc.subarray([makeDoor('redirect', 'https://registry.example'), makeDoor('self', 'http://[::1]:4873')]);
const anyList: fc.Arbitrary<HostsList> = fc
  .tuple(doors, hosts, fc.nat(), fc.maxSafeNat())
  .map(([some, members, serial, time]) => ({ log: logName, serial, time, doors: some, hosts: members }));

/** A text that a trusted key signed is the text it signed: whatever is done to the note, nothing else gets through. */
function unforged(genuine: string, open: (bytes: Uint8Array) => unknown): (bytes: Uint8Array) => void {
  return (bytes) => {
    open(bytes);
    assert.equal(splitNote(bytes).text, splitNote(genuine).text);
  };
}

export const INDEX_TARGETS: readonly Target[] = [
  {
    name: 'entry',
    valid: anyEntry.map(formatEntry),
    read: onlyForm(parseEntry, formatEntry),
    tokens: ['learned/1\n', 'withdraw/1\n', 'time 0\n', 'version *\n', 'sha512:', 'reason ', 'expires -\n'],
    bytesMax: ENTRY_BYTES_MAX,
  },
  {
    name: 'head',
    valid: anyHead.map(formatHead),
    read: onlyForm(parseHead, formatHead),
    tokens: ['head/1\n', `page ${'0'.repeat(64)}\n`, 'versions 0 ', 'name ', 'seq 1\n'],
    bytesMax: HEAD_BYTES_MAX,
  },
  {
    name: 'version-entry',
    valid: anyVersionEntry.map((entry) => utf8(formatVersionEntry(entry))),
    read: onlyForm(parseVersionEntry, (entry) => utf8(formatVersionEntry(entry))),
    tokens: ['.tgz', 'sha1:', 'sha512:'],
  },
  {
    name: 'page',
    valid: lines.map((some) => utf8(some.join(''))),
    read: onlyForm(parsePage, (entries) => utf8(entries.map(formatVersionEntry).join(''))),
    tokens: ['.tgz', 'sha1:', 'sha512:'],
  },
  {
    name: 'pages',
    valid: fc.constant(page),
    read: (bytes) => {
      openPages(head, [bytes]);
      assert.ok(equal(bytes, page), 'pages that the head does not name');
    },
  },
  {
    name: 'pinned-hash',
    valid: asUtf8(pinned.map(formatPinned)),
    read: onlyForm(
      (bytes) => parsePinned(anyText(bytes)),
      (hash) => utf8(formatPinned(hash)),
    ),
    tokens: ['sha512:', 'sha1:'],
  },
  {
    name: 'reason',
    valid: asUtf8(fc.string({ unit: codePoint })),
    read: (bytes) => assert.notEqual(reasonField.read(asReason(anyText(bytes))), undefined),
  },
  {
    name: 'vkey',
    valid: anyOf(logKey, hostsKey),
    read: onlyForm(
      (bytes) => parseVkey(text(bytes)),
      ({ name, publicKey }) => utf8(formatVkey(name, publicKey)),
    ),
    tokens: ['++', '+AQ==', 'AQ'],
  },
  {
    name: 'note',
    valid: anyOf(hostsNote),
    read: unforged(hostsNote, (bytes) => openNote(bytes, [hostsKey, logKey])),
    tokens: ['\n\n— ', '— a AAAAAAA=\n', '\n\n'],
  },
  {
    name: 'keys-note',
    valid: anyOf(keysNote),
    read: unforged(keysNote, (bytes) => openKeysNote(bytes, logKey)),
    tokens: ['\n\n— ', 'root ', 'exchange '],
  },
  {
    name: 'keys-note-text',
    valid: anyOf(splitNote(keysNote).text),
    read: onlyForm(
      (bytes) => parseKeysNoteText(text(bytes)),
      (keys) => utf8(formatKeysNoteText(keys)),
    ),
    tokens: ['log ', 'root ', 'hosts ', '/root+', '/hosts+'],
  },
  {
    name: 'hosts-list',
    valid: anyList.map((list) => utf8(formatHostsList(list))),
    read: onlyForm(
      (bytes) => parseHostsList(text(bytes)),
      (list) => utf8(formatHostsList(list)),
    ),
    tokens: ['door ', 'host ', ' self ', 'https://b.example', 'door 00000000 self http://a.example\n'],
  },
  {
    name: 'hosts-note',
    valid: anyOf(hostsNote),
    read: unforged(hostsNote, (bytes) => openHostsList(bytes, hostsKey, logName)),
    tokens: ['\n\n— ', 'host ', 'door '],
  },
  {
    name: 'measured',
    valid: fc.constant(formatMeasured(measuredEntry)),
    odd: altered(formatMeasured(measuredEntry)),
    read: stable((bytes) => parseMeasured(bytes, measuredEntry.sha512), formatMeasured),
    tokens: ['"pinned":', '"size":', '"list":', '{"toString":1}', '{"toJSON":1}', '[[]]'],
  },
  {
    name: 'chunk-list',
    valid: fc.constant(chunkList),
    read: (bytes) => assert.ok(equal(openChunkList(measuredEntry, bytes).list, chunkList)),
  },
];
