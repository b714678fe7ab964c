import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MalformedError } from '../../src/core/errors.ts';
import { childrenOf, skipIgnored } from '../../src/core/relaxed-json.ts';
import { anyDocument } from '../support/json-text.ts';

const slices = (text: string): string[] =>
  [...childrenOf(text, skipIgnored(text, 0))].map(({ key, start, end }) =>
    key === null ? text.slice(start, end) : `${key}=${text.slice(start, end)}`,
  );

test('property: where JSON.parse finds values, so does the scanner', () => {
  fc.assert(
    fc.property(anyDocument, (text) => {
      const value: unknown = JSON.parse(text);
      if (typeof value !== 'object' || value === null) return;
      const children = [...childrenOf(text, skipIgnored(text, 0))];
      const parsed = children.map(({ start, end }) => JSON.parse(text.slice(start, end)));
      const byName = new Map(children.map(({ key }, at) => [JSON.parse(`"${key}"`), parsed[at]]));
      assert.deepEqual(Array.isArray(value) ? parsed : Object.fromEntries(byName), value);
    }),
  );
});

test('commas may stand before a closing bracket, and comments anywhere', () => {
  assert.deepEqual(slices('// a, b\n{ "a": [1, /* ] */ 2,], "b": {"c": "}",},\n}'), [
    'a=[1, /* ] */ 2,]',
    'b={"c": "}",}',
  ]);
  assert.deepEqual(slices('[]'), []);
  assert.deepEqual(slices('["\\"]", -1.5e3 , null,]'), ['"\\"]"', '-1.5e3', 'null']);
});

test('what is not closed, parted or paired is malformed', () => {
  const texts = [
    '',
    'x',
    '"a"',
    '[',
    '[1',
    '[1 2]',
    '[1}',
    '[,]',
    '{"a"}',
    '{"a":}',
    '{a: 1}',
    '{"a": 1',
    '["a]',
    '["a\n"]',
    '[[1}]',
    '[1,,]',
    '/* [1]',
  ];
  for (const text of texts) assert.throws(() => slices(text), MalformedError, text);
});
