import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { utf8 } from '../../src/core/bytes.ts';
import { MalformedError, SignatureError } from '../../src/core/errors.ts';
import { sha256 } from '../../src/core/hash.ts';
import { formatKeysNoteText, logNameOf, openKeysNote, parseKeysNoteText } from '../../src/core/keys-note.ts';
import { COSIGNATURE_TYPE, formatVkey, openNote, type Signer, signNote, splitNote } from '../../src/core/note.ts';
import { mutated } from '../support/arbitrary.ts';
import { exampleSigner } from '../support/example-keys.ts';
import { protocolExample } from '../support/protocol-examples.ts';

const name = 'open-registry/0123456789abcdef';
const log = exampleSigner(name, 'example log key');
const root = exampleSigner(`${name}/root`, 'example root key');
const hosts = exampleSigner(`${name}/hosts`, 'example hosts key');
const cosigner = exampleSigner(`${name}/cosigner`, 'example cosigner key');
const stranger = exampleSigner(name, 'a stranger');
const vkeyOf = (signer: Signer) => formatVkey(signer.name, signer.publicKey);

/** Public X25519 key of a seed, base64. */
function exchangeKey(label: string): string {
  const prefix = Buffer.from('302e020100300506032b656e04220420', 'hex');
  const pkcs8 = Buffer.concat([prefix, sha256(utf8(label))]);
  const spki = createPublicKey(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }));
  return spki.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64');
}

const keys = {
  log: vkeyOf(log),
  root: vkeyOf(root),
  hosts: vkeyOf(hosts),
  cosigner: formatVkey(cosigner.name, cosigner.publicKey, COSIGNATURE_TYPE),
  exchange: exchangeKey('example exchange key'),
};
const text = formatKeysNoteText(keys);
const note = await signNote(text, [root, log]);

test('the keys note in docs/protocol.md is the one of the example keys', () => {
  assert.equal(protocolExample('keys-note').text, note);
});

test('a keys note gives back the keys and the name of the log', () => {
  assert.deepEqual(parseKeysNoteText(text), keys);
  assert.deepEqual(openKeysNote(note, null), keys);
  assert.equal(logNameOf(keys), name);
});

test('a keys note from before there was a cosigner is still one', async () => {
  const { cosigner: _, ...before } = keys;
  const earlier = formatKeysNoteText(before);
  assert.match(earlier, /^open-registry keys\/1\n/);
  assert.deepEqual(openKeysNote(await signNote(earlier, [root, log]), null), before);
});

test('the log key and the root key are each enough to know an origin by', () => {
  assert.deepEqual(openKeysNote(utf8(note), keys.log), keys);
  assert.deepEqual(openKeysNote(note, keys.root), keys);
  for (const other of [vkeyOf(stranger), keys.hosts, '']) {
    assert.throws(() => openKeysNote(note, other), /those of another origin, or its log key was replaced: expected/);
  }
});

test('both keys must have signed', async () => {
  for (const signers of [[root], [log], [root, root], [log, hosts]]) {
    const half = await signNote(text, signers);
    assert.throws(() => openKeysNote(half, null), /must be signed by its root key and its log key/);
  }
  const foreign = await signNote(text, [hosts, stranger]);
  assert.throws(() => openKeysNote(foreign, null), SignatureError);
});

test('a stranger who keeps the root key but puts in a log key is not believed by those who know either', async () => {
  const forged = await signNote(formatKeysNoteText({ ...keys, log: vkeyOf(stranger) }), [stranger]);
  for (const trusted of [null, keys.log, keys.root]) assert.throws(() => openKeysNote(forged, trusted), SignatureError);
});

test('a keys note is open to the readers of notes, too', () => {
  assert.deepEqual(openNote(note, [keys.root]), { text, signedBy: [keys.root] });
  assert.equal(splitNote(note).signatures.length, 2);
});

const other = exampleSigner('open-registry/other/root', 'example root key');
const refused: [why: string, text: string, words: RegExp][] = [
  ['another version', text.replace('keys/2', 'keys/3'), /line 1: expected open-registry keys\/2/],
  ['an earlier version and a cosigner', text.replace('keys/2', 'keys/1'), /line 5: expected "exchange …"/],
  [
    'a cosigner that signs texts',
    text.replace(keys.cosigner, vkeyOf(cosigner)),
    /line 5: cosigner is .* expected a cosigner/,
  ],
  ['a missing key', text.replace(/hosts .*\n/, ''), /line 4: expected "hosts …", found "cosigner/],
  ['keys in another order', text.replace(/(root .*\n)(hosts .*\n)/, '$2$1'), /line 3: expected "root …"/],
  ['more at its end', `${text}more 1\n`, /line 7: expected the end/],
  [
    'a root key of another log',
    text.replace(keys.root, vkeyOf(other)),
    /line 3: the root key is named open-registry\/other/,
  ],
  ['the root key as hosts key', text.replace(keys.hosts, keys.root), /line 4: the hosts key is named .*\/root, not/],
  ['a vkey with another ID', text.replace('+', '+0'), /line 2: log is .* expected a vkey/],
  [
    'a short exchange key',
    text.replace(/exchange .*/, 'exchange AAAA'),
    /line 6: exchange is "AAAA", expected 32 bytes/,
  ],
];
for (const [why, changed, words] of refused) {
  test(`a keys note with ${why} is refused`, () => {
    assert.throws(() => parseKeysNoteText(changed), { name: 'MalformedError', message: words });
  });
}

test('keys that belong to different logs are not written', () => {
  assert.throws(() => formatKeysNoteText({ ...keys, root: vkeyOf(other) }), MalformedError);
  assert.throws(() => formatKeysNoteText({ ...keys, exchange: '' }), MalformedError);
});

test('a changed byte spoils a keys note', () => {
  fc.assert(
    fc.property(mutated(utf8(note)), (bytes) => {
      if (Buffer.from(bytes).equals(Buffer.from(note))) return;
      const refusal = (error: unknown) => error instanceof MalformedError || error instanceof SignatureError;
      assert.throws(() => openKeysNote(bytes, null), refusal);
    }),
    { numRuns: 500 },
  );
});
