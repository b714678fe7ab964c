import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromBase64, toHex, utf8 } from '../../src/core/bytes.ts';
import { MalformedError, SignatureError } from '../../src/core/errors.ts';
import {
  addSignatureLines,
  formatVkey,
  keyId,
  openNote,
  parseVkey,
  type Signer,
  signNote,
  splitNote,
} from '../../src/core/note.ts';
import { mutated } from '../support/arbitrary.ts';
import { exampleSigner, signerFromSeed } from '../support/example-keys.ts';
import { protocolExample } from '../support/protocol-examples.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/signed-notes.json', import.meta.url), 'utf8'));
const { spec, peter, enoch } = vectors;
const peterNote = `${peter.text}\n${peter.signature}`;
const vkeyOf = (signer: Signer) => formatVkey(signer.name, signer.publicKey);

for (const { vkey, name, keyId: id, text, signature } of [spec, peter, enoch]) {
  test(`the vkey and the note of ${name} are read as their source says`, () => {
    const parsed = parseVkey(vkey);
    assert.deepEqual([parsed.name, parsed.keyId], [name, id]);
    assert.equal(keyId(name, 1, parsed.publicKey), id);
    assert.equal(formatVkey(name, parsed.publicKey), vkey);
    assert.deepEqual(openNote(`${text}\n${signature}`, [vkey]), { text, signedBy: [vkey] });
    assert.deepEqual(openNote(utf8(`${text}\n${signature}`), [vkey]), { text, signedBy: [vkey] });
  });
}

test('the public key of the specification is the one that it prints', () => {
  assert.equal(toHex(parseVkey(spec.vkey).publicKey), spec.publicKey);
});

test('signing gives the published bytes', async () => {
  const seed = fromBase64(peter.privateKey.split('+').slice(4).join('+')).subarray(1);
  assert.equal(await signNote(peter.text, [signerFromSeed('PeterNeumann', seed)]), peterNote);
});

test('docs/protocol.md shows a note and the key that signed it', () => {
  const { label, text } = protocolExample('note');
  assert.deepEqual(openNote(text, [label]).signedBy, [spec.vkey]);
});

test('no part of a vkey, and none with a byte changed, is a vkey', () => {
  const vkey: string = peter.vkey;
  for (let from = 0; from <= vkey.length; from++) {
    for (let to = from; to <= vkey.length; to++) {
      const part = vkey.slice(from, to);
      if (part !== vkey) assert.throws(() => parseVkey(part), MalformedError, part);
    }
  }
  fc.assert(
    fc.property(mutated(utf8(vkey)), (bytes) => {
      const text = new TextDecoder().decode(bytes);
      if (text !== vkey) assert.throws(() => parseVkey(text), MalformedError, text);
    }),
    { numRuns: 2_000 },
  );
});

for (const vkey of vectors.refusedVkeys) {
  test(`${vkey.slice(0, 40)}… is refused`, () => assert.throws(() => parseVkey(vkey), { format: /vkey|base64/ }));
}

test('a vkey of another type is refused as such', () => {
  assert.throws(() => parseVkey(vectors.refusedVkeys[1]), /is not of type Ed25519 \(0x01\)/);
});

for (const name of ['', 'a b', 'a+b', 'a\n', 'a\u2003b', 'a\u0000', '\ud800', 'a'.repeat(256)]) {
  test(`${JSON.stringify(name.slice(0, 20))} can't name a key`, () => {
    assert.throws(() => formatVkey(name, new Uint8Array(32)), MalformedError);
  });
}

test('a key of another length makes no vkey', () => {
  assert.throws(() => formatVkey('a', new Uint8Array(31)), /31 bytes of public key, Ed25519 has 32/);
});

const ann = exampleSigner('example.com/ann', 'ann');
const bob = exampleSigner('example.com/bob', 'bob');

test('notes come back as they were, with those who signed', async () => {
  const line = fc.string({ unit: 'grapheme' }).filter((text) => ![...text].some((character) => character < ' '));
  const texts = fc.array(line, { minLength: 1 }).map((lines) => `${lines.join('\n')}\n`);
  await fc.assert(
    fc.asyncProperty(texts, async (text) => {
      const note = await signNote(text, [ann, bob]);
      assert.deepEqual(openNote(note, [vkeyOf(bob), vkeyOf(ann)]), { text, signedBy: [vkeyOf(ann), vkeyOf(bob)] });
      assert.deepEqual(openNote(note, [vkeyOf(bob)]), { text, signedBy: [vkeyOf(bob)] });
    }),
    { numRuns: 50 },
  );
});

test('a text may have empty lines at its end', async () => {
  const note = await signNote('a\n\n\n', [ann]);
  assert.equal(openNote(note, [vkeyOf(ann)]).text, 'a\n\n\n');
});

test('a changed byte spoils a note', () => {
  fc.assert(
    fc.property(mutated(utf8(peterNote)), (bytes) => {
      if (Buffer.from(bytes).equals(Buffer.from(peterNote))) return;
      const refusal = (error: unknown) => error instanceof MalformedError || error instanceof SignatureError;
      assert.throws(() => openNote(bytes, [peter.vkey]), refusal);
    }),
    { numRuns: 2_000 },
  );
});

test('a note that no known key signed is refused, whoever else did', () => {
  const refusal = { name: 'SignatureError', message: /none of the expected keys .*EnochRoot \(key af0cfe78\)/ };
  assert.throws(() => openNote(peterNote, [enoch.vkey]), refusal);
  assert.throws(() => openNote(peterNote, []), /none is known/);
});

test('name and key ID must both match', () => {
  const { publicKey } = parseVkey(peter.vkey);
  assert.throws(() => openNote(peterNote, [formatVkey('PeterNeuman', publicKey)]), SignatureError);
  assert.throws(() => openNote(peterNote, [formatVkey('PeterNeumann', ann.publicKey)]), SignatureError);
});

test('a wrong signature of a known key spoils the note, one of an unknown key does not', () => {
  const wrong = enoch.signature.replace('eBzmZa0', 'eBzmZa1');
  const note = `${peterNote}${wrong}`;
  assert.deepEqual(openNote(note, [peter.vkey]).signedBy, [peter.vkey]);
  assert.throws(() => openNote(note, [peter.vkey, enoch.vkey]), /signature by EnochRoot \(key af0cfe78\) is wrong/);
  const short = `— EnochRoot ${Buffer.from('af0cfe7800', 'hex').toString('base64')}\n`;
  assert.throws(() => openNote(`${peterNote}${short}`, [peter.vkey, enoch.vkey]), SignatureError);
});

test('a signature that stands there twice counts once', () => {
  assert.deepEqual(openNote(`${peterNote}${peter.signature}`, [peter.vkey, peter.vkey]).signedBy, [peter.vkey]);
});

const sixteen = Array.from({ length: 15 }, () => enoch.signature).join('');
test('sixteen signatures are read, a hundred and one are not', () => {
  assert.deepEqual(openNote(`${peterNote}${sixteen}`, [peter.vkey]).signedBy, [peter.vkey]);
  const flood = `${peter.text}\n${peter.signature.repeat(101)}`;
  assert.throws(() => openNote(flood, [peter.vkey]), /101 signatures, at most 100/);
});

const signature = peter.signature.slice('— PeterNeumann '.length);
const malformed: [why: string, note: string | Uint8Array, line: number | null][] = [
  ['nothing', '', null],
  ['only a text', peter.text, null],
  ['no signatures', `${peter.text}\n`, null],
  ['no line feed at its end', peterNote.slice(0, -1), null],
  ['a carriage return', peterNote.replace('\n', '\r\n'), 1],
  ['a control character', `\u0001${peterNote}`, 1],
  ['a tab in its second line', peterNote.replace('then', '\tthen'), 2],
  ['what is not UTF-8', Buffer.concat([Buffer.of(0xff), Buffer.from(peterNote)]), null],
  ['a name with a space', `${peter.text}\n— Bad Name ${signature}`, 4],
  ['a name with a wide space', `${peter.text}\n— Bad\u2003Name ${signature}`, 4],
  ['a name with a plus sign', `${peter.text}\n— Bad+Name ${signature}`, 4],
  ['a hyphen for the dash', peterNote.replace('—', '-'), 4],
  ['another line behind', `${peterNote}Unexpected line.\n`, 5],
  ['half-decoded base64', `${peter.text}\n— PeterNeumann x08go\n`, 4],
  ['a key ID without a signature', `${peter.text}\n— PeterNeumann x08goA==\n`, 4],
];
for (const [why, note, line] of malformed) {
  test(`a note with ${why} is refused`, () => {
    assert.throws(() => openNote(note, [peter.vkey]), { name: 'MalformedError', format: 'signed note', line });
  });
}

test('more than a note may have is refused before it is read', () => {
  assert.throws(() => splitNote('a'.repeat(1_048_577)), /1048577 bytes, at most 1048576/);
});

test('nothing is signed that could not be opened', async () => {
  await assert.rejects(signNote('no line feed', [ann]), /does not end in a line feed/);
  await assert.rejects(signNote('a\tb\n', [ann]), MalformedError);
  await assert.rejects(signNote('a\n', []), /at least one signer/);
  await assert.rejects(signNote('a\n', [{ ...ann, name: 'a b' }]), MalformedError);
  await assert.rejects(signNote('a\n', [{ ...ann, publicKey: bob.publicKey }]), /private key of example.com\/ann/);
});

test('signature lines are added beneath those that are there, one for each key', async () => {
  const [one, two] = await Promise.all([ann, bob].map((signer) => signNote('a\n\nb\n', [signer])));
  const lineOf = (note = '') => note.slice('a\n\nb\n\n'.length);
  const both = addSignatureLines(one ?? '', [lineOf(two)]);
  assert.equal(both, `${one}${lineOf(two)}`);
  assert.deepEqual(openNote(both, [vkeyOf(ann), vkeyOf(bob)]).signedBy, [vkeyOf(ann), vkeyOf(bob)]);
  assert.equal(addSignatureLines(both, [lineOf(two), lineOf(one), lineOf(one)]), both);
  assert.equal(addSignatureLines(both, []), both);
});

test('a later line of a key takes the place of its earlier one', () => {
  const line = (bytes: number[]) => `— example.com/ann ${Buffer.from([1, 2, 3, 4, ...bytes]).toString('base64')}\n`;
  const note = `a\n\n${line([5])}${peter.signature}`;
  assert.equal(addSignatureLines(note, [line([6]), line([7])]), `a\n\n${line([7])}${peter.signature}`);
});

test('what is no signature line is not added, and nothing to what is no note', () => {
  const lines = ['', '\n', 'text\n', peter.signature.slice(0, -1), `\n${peter.signature}`, `${peter.signature}\n`];
  for (const line of [...lines, `${peter.signature}${enoch.signature}`, `more text\n\n${peter.signature}`]) {
    assert.throws(() => addSignatureLines(peterNote, [line]), MalformedError, JSON.stringify(line));
  }
  assert.throws(() => addSignatureLines(peterNote, [peter.signature.trim()]), /does not end in a line feed/);
  assert.throws(() => addSignatureLines(peter.text, [peter.signature]), MalformedError);
});

test('more lines than a note may have are not added', () => {
  const line = (at: number) => `— example.com/ann ${Buffer.from([0, 0, 0, at, 1]).toString('base64')}\n`;
  const lines = Array.from({ length: 100 }, (_, at) => line(at));
  assert.equal(splitNote(addSignatureLines(peterNote, lines.slice(1))).signatures.length, 100);
  assert.throws(() => addSignatureLines(peterNote, lines), /101 signatures, at most 100/);
});
