import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  carriedOut,
  formatProgress,
  lookedAt,
  NO_PROGRESS,
  overdueIn,
  parseProgress,
  withdrawalsIn,
} from '../../src/core/withdrawal-progress.ts';

const withdrawal = { index: 3, since: 1_000, deadline: 60 };
const comeback = { index: 5, since: 1_000, deadline: null };

test('what is open stays open until it is carried out, over restarts, too', () => {
  const first = lookedAt(NO_PROGRESS, 4, [withdrawal]);
  const second = parseProgress(formatProgress(lookedAt(first, 9, [comeback])));
  assert.deepEqual(second, { at: 9, open: [withdrawal, comeback] });
  assert.deepEqual(withdrawalsIn(second), [withdrawal]);
  assert.deepEqual(carriedOut(second, new Set([3])), { at: 9, open: [comeback] });
  assert.deepEqual(carriedOut(second, new Set([3, 5])), { at: 9, open: [] });
});

test('only a withdrawal has a deadline, and it is overdue once that has passed', () => {
  const progress = lookedAt(NO_PROGRESS, 9, [withdrawal, comeback]);
  assert.deepEqual(overdueIn(progress, 61_000), []);
  assert.deepEqual(overdueIn(progress, 61_001), [withdrawal]);
});
