import assert from 'node:assert/strict';
import { test } from 'node:test';
import { columns } from '../../src/core/text-table.ts';

test('cells stand below each other, without blanks at the end of lines', () => {
  assert.equal(
    columns([
      ['A', 'B'],
      ['long one', 'x'],
      ['y', 'zz'],
    ]),
    'A         B\nlong one  x\ny         zz\n',
  );
});

test('a column without any value is left out', () => {
  assert.equal(
    columns([
      ['A', 'NEVER', 'B'],
      ['1', '', '2'],
    ]),
    'A  B\n1  2\n',
  );
});

test('what would steer a terminal is blanked', () => {
  assert.equal(columns([['A'], ['\u001b[2Jx\ny\u202e']]), 'A\n [2Jx y\n');
});
