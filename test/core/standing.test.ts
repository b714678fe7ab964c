import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { evictionOf, type HostRows, isInLog, standingOf } from '../../src/core/standing.ts';
import type { ApplicationRow } from '../../src/core/tables.ts';

const application: ApplicationRow = {
  url: 'https://mirror.example',
  key: 'key',
  exchange: 'exchange',
  private: false,
  operator: null,
  software: null,
  applied: 0,
  approved: true,
  evicted: null,
};
const admitted = { url: application.url, key: 'key', admitted: 0, evicted: null };
const suspension = { since: 0, reason: 'slow' };
const hidden = { ...application, private: true };

const cases: [string, HostRows, ReturnType<typeof standingOf>][] = [
  ['just applied', { application: { ...application, approved: false }, admitted: null, suspension: null }, 'pending'],
  ['approved and journaled', { application, admitted, suspension: null }, 'approved'],
  ['approved and not journaled', { application, admitted: null, suspension: null }, 'pending'],
  [
    'journaled and not approved',
    { application: { ...application, approved: false }, admitted, suspension: null },
    'pending',
  ],
  [
    'journaled at another URL',
    { application, admitted: { ...admitted, url: 'https://x.example' }, suspension: null },
    'pending',
  ],
  ['private and approved', { application: hidden, admitted: null, suspension: null }, 'approved'],
  ['suspended', { application, admitted, suspension }, 'suspended'],
  ['evicted in the log', { application, admitted: { ...admitted, evicted: 'x' }, suspension }, 'evicted'],
  ['evicted in private', { application: { ...hidden, evicted: 'x' }, admitted: null, suspension: null }, 'evicted'],
];

describe('standingOf', () => {
  for (const [what, rows, standing] of cases) {
    it(`calls a host that is ${what} ${standing}`, () => assert.equal(standingOf(rows), standing));
  }

  it('says why a host was evicted, and whether the log still lists it', () => {
    const evicted = { application, admitted: { ...admitted, evicted: 'wrong bytes' }, suspension: null };
    assert.deepEqual([evictionOf(evicted), isInLog(evicted)], ['wrong bytes', false]);
    const live = { application, admitted, suspension: null };
    assert.deepEqual([evictionOf(live), isInLog(live)], [null, true]);
  });
});
