import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { utf8 } from '../../src/core/bytes.ts';
import { type Checkpoint, formatCheckpoint, openCheckpoint, parseCheckpoint } from '../../src/core/checkpoint.ts';
import { MalformedError, SignatureError } from '../../src/core/errors.ts';
import { leafHash } from '../../src/core/merkle.ts';
import { formatVkey, signNote } from '../../src/core/note.ts';
import { count, mutated, record } from '../support/arbitrary.ts';
import { exampleSigner } from '../support/example-keys.ts';

// The golden text of golang.org/x/mod/sumdb/tlog.
const golden = 'go.sum database tree\n123456789012\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n';
const goldenCheckpoint = {
  origin: 'go.sum database tree',
  size: 123_456_789_012,
  root: leafHash(utf8('hello world')),
  extensions: [],
};

test('the golden text of sumdb/tlog is read and written', () => {
  assert.deepEqual(parseCheckpoint(golden), goldenCheckpoint);
  assert.equal(formatCheckpoint(goldenCheckpoint), golden);
});

test('extension lines are read and written as they are', () => {
  const text = `${golden}first extension\n— second\n`;
  assert.deepEqual(parseCheckpoint(text), { ...goldenCheckpoint, extensions: ['first extension', '— second'] });
  assert.equal(formatCheckpoint(parseCheckpoint(text)), text);
});

const [origin, size, root] = golden.split('\n');
const malformed: [why: string, text: string, line: number | null][] = [
  ['nothing', '', 1],
  ['no size', `${origin}\n`, 2],
  ['no root hash', `${origin}\n${size}\n`, 3],
  ['no line feed at its end', golden.slice(0, -1), 3],
  ['an empty origin', `\n${size}\n${root}\n`, 1],
  ['a control character', `a\tb\n${size}\n${root}\n`, 1],
  ['an empty extension line', `${golden}\n`, 4],
  ['a carriage return', golden.replaceAll('\n', '\r\n'), 1],
  ['a size with a leading zero', `${origin}\n0${size}\n${root}\n`, 2],
  ['a negative size', `${origin}\n-1\n${root}\n`, 2],
  ['a hexadecimal size', `${origin}\n0xabcdef\n${root}\n`, 2],
  ['a size above 2^53-1', `${origin}\n9007199254740992\n${root}\n`, 2],
  ['a root of 31 bytes', `${origin}\n${size}\n${Buffer.alloc(31).toString('base64')}\n`, 3],
  ['a root of 33 bytes', `${origin}\n${size}\n${Buffer.alloc(33).toString('base64')}\n`, 3],
  ['a root in hex', `${origin}\n${size}\n${'00'.repeat(32)}\n`, 3],
  ['a root with bits behind its end', golden.replace('Bb0=', 'Bb1='), 3],
  ['a root without padding', golden.replace('=', ''), 3],
];
for (const [why, text, line] of malformed) {
  test(`a checkpoint with ${why} is refused`, () => {
    assert.throws(() => parseCheckpoint(text), { name: 'MalformedError', format: 'checkpoint', line });
  });
}

test('checkpoints come back as they were', () => {
  const line = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => ![...text].some((one) => one < ' '));
  const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const checkpoint = record<Checkpoint>({ origin: line, size: count, root: bytes, extensions: fc.array(line) });
  fc.assert(
    fc.property(checkpoint, (checkpoint) => {
      const { root, ...rest } = parseCheckpoint(formatCheckpoint(checkpoint));
      assert.deepEqual({ ...rest, root: [...root] }, { ...checkpoint, root: [...checkpoint.root] });
    }),
  );
});

test('what is read is what would be written', () => {
  fc.assert(
    fc.property(mutated(utf8(golden)), (bytes) => {
      const text = new TextDecoder().decode(bytes);
      let checkpoint: Checkpoint;
      try {
        checkpoint = parseCheckpoint(text);
      } catch (error) {
        assert.ok(error instanceof MalformedError);
        return;
      }
      assert.equal(formatCheckpoint(checkpoint), text);
    }),
    { numRuns: 2_000 },
  );
});

test('what could not be read is not written', () => {
  for (const wrong of [
    { origin: '' },
    { origin: 'a\nb' },
    { origin: '\ud800' },
    { size: -1 },
    { size: 1.5 },
    { size: 2 ** 53 },
    { root: new Uint8Array(31) },
    { extensions: [''] },
    { extensions: ['a\nb'] },
  ]) {
    assert.throws(() => formatCheckpoint({ ...goldenCheckpoint, ...wrong }), MalformedError, JSON.stringify(wrong));
  }
});

const log = exampleSigner('example.com/log', 'log');
const vkey = formatVkey(log.name, log.publicKey);
const checkpoint = { ...goldenCheckpoint, origin: log.name };
const text = formatCheckpoint(checkpoint);
const note = await signNote(text, [log]);

test('a checkpoint opens with the log’s key', () => {
  assert.deepEqual(openCheckpoint(note, [vkey], log.name), { checkpoint, text, signedBy: [vkey] });
  assert.deepEqual(openCheckpoint(utf8(note), [vkey], log.name).checkpoint, checkpoint);
});

test('a checkpoint of another log is refused, whoever signed it', () => {
  const refusal = { name: 'SignatureError', message: /one of "example.com\/log", not of "example.com\/other"/ };
  assert.throws(() => openCheckpoint(note, [vkey], 'example.com/other'), refusal);
});

test('a checkpoint that another key signed is refused, whatever it says', async () => {
  const forged = await signNote(text, [{ ...exampleSigner('example.com/log', 'somebody else') }]);
  assert.throws(() => openCheckpoint(forged, [vkey], log.name), SignatureError);
});

test('a signed text that is no checkpoint is refused', async () => {
  const signed = await signNote('example.com/log\nhello\n', [log]);
  assert.throws(() => openCheckpoint(signed, [vkey], log.name), { name: 'MalformedError', format: 'checkpoint' });
});

test('a changed byte spoils a checkpoint', () => {
  fc.assert(
    fc.property(mutated(utf8(note)), (bytes) => {
      if (Buffer.from(bytes).equals(Buffer.from(note))) return;
      const refusal = (error: unknown) => error instanceof MalformedError || error instanceof SignatureError;
      assert.throws(() => openCheckpoint(bytes, [vkey], log.name), refusal);
    }),
    { numRuns: 1_000 },
  );
});
