import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatReport, problemsIn, Tally } from '../../src/core/verify-report.ts';

test('a report says what was counted, what holds, and what does not', async () => {
  const sound = new Tally('entries');
  sound.count('entry');
  sound.count('byte', 1_234_567);
  sound.note('two are young');
  const broken = new Tally('rows');
  broken.count('row', 2);
  await broken.attempt('row 1', async () => {});
  await broken.attempt('row 2', () => Promise.reject(new Error('it is torn')));
  const report = { checks: [sound.result('each canonical'), broken.result('all whole')] };
  assert.deepEqual(formatReport(report), [
    '  entries  1 entry, 1,234,567 bytes: each canonical',
    '           note: two are young',
    '  rows     2 rows',
    '           WRONG row 2: it is torn',
  ]);
  assert.equal(problemsIn(report), 1);
});

test('a report counts all problems and shows the first ones', () => {
  const tally = new Tally('rows');
  for (let n = 0; n < 150; n += 1) tally.wrong(`row ${n}`, 'gone');
  const report = { checks: [tally.result('')] };
  assert.equal(problemsIn(report), 150);
  assert.deepEqual(formatReport(report).slice(0, 2), ['  rows  nothing', '        WRONG row 0: gone']);
  assert.equal(formatReport(report).at(-1), '        … and 50 more');
});
