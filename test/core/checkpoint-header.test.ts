import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatCheckpointHeader, parseCheckpointHeader } from '../../src/core/checkpoint-header.ts';
import { protocolExample } from '../support/protocol-examples.ts';

test('a header carries a note unchanged', () => {
  const { text } = protocolExample('checkpoint');
  assert.match(formatCheckpointHeader(text), /^[A-Za-z0-9_-]+$/);
  assert.equal(parseCheckpointHeader(formatCheckpointHeader(text)), text);
  const notes = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 100 });
  fc.assert(fc.property(notes, (note) => assert.equal(parseCheckpointHeader(formatCheckpointHeader(note)), note)));
});

test('what can be none, or comes in another spelling, is passed over', () => {
  for (const bad of [undefined, '', '%%%', 'AA==', 'AB', 'A'.repeat(5_000), ['QQ', 'QQ']]) {
    assert.equal(parseCheckpointHeader(bad), null);
  }
  fc.assert(
    fc.property(fc.string(), (value) => {
      const note = parseCheckpointHeader(value);
      if (note !== null && !note.includes('\ufffd')) assert.equal(formatCheckpointHeader(note), value);
    }),
  );
});
