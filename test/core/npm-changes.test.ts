import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatEntry } from '../../src/core/entry.ts';
import { BadRequestError } from '../../src/core/errors.ts';
import { changeOf, changingEntry, parseChangesQuery, showChange } from '../../src/core/npm-changes.ts';
import type { PackageRow } from '../../src/core/tables.ts';
import { anyEntry } from '../support/index-records.ts';

const usual = {
  feed: 'normal',
  since: 0,
  limit: 1_000,
  descending: false,
  includeDocs: false,
  heartbeatMs: null,
  timeoutMs: 60_000,
};

const understood: readonly [query: string, differs: object][] = [
  ['', {}],
  ['since=12', { since: 12 }],
  ['since=now', { since: 'now' }],
  ['since=9007199254740991', { since: Number.MAX_SAFE_INTEGER }],
  ['limit=0', { limit: 1 }],
  ['limit=10', { limit: 10 }],
  ['limit=10000000', { limit: 10_000 }],
  ['feed=longpoll', { feed: 'longpoll' }],
  ['feed=continuous', { feed: 'continuous', limit: null }],
  ['feed=continuous&limit=3', { feed: 'continuous', limit: 3 }],
  ['descending=true', { descending: true }],
  ['include_docs=true', { includeDocs: true }],
  ['include_docs=false&descending=false', {}],
  ['heartbeat=true', { heartbeatMs: 60_000 }],
  ['heartbeat=false', {}],
  ['heartbeat=5000', { heartbeatMs: 5_000 }],
  ['heartbeat=99999999999', { heartbeatMs: 120_000 }],
  ['timeout=0', { timeoutMs: 0 }],
  ['timeout=99999999999', { timeoutMs: 120_000 }],
  ['style=main_only&conflicts=true&seq_interval=100&since=1', { since: 1 }],
];

for (const [query, differs] of understood) {
  test(`?${query} is understood`, () => assert.deepEqual(parseChangesQuery(query), { ...usual, ...differs }));
}

const refused: readonly [query: string, says: RegExp][] = [
  ['since=-1', /since="-1"/],
  ['since=1-g1AAAA', /nor "now"/],
  ['since=1e3', /since="1e3"/],
  ['since=9007199254740992', /is not a number/],
  ['limit=many', /limit="many"/],
  ['limit=now', /limit="now"/],
  ['feed=eventsource', /normal, longpoll, continuous/],
  ['descending=1', /neither true nor false/],
  ['descending=true&feed=continuous', /no meaning/],
  ['heartbeat=1', /too often/],
  ['heartbeat=soon', /heartbeat="soon"/],
  ['timeout=-5', /timeout/],
  ['filter=_doc_ids&doc_ids=["a"]', /no filters/],
  ['view=x', /no view/],
  ['selector={}', /no selector/],
];

for (const [query, says] of refused) {
  test(`?${query} is refused in words`, () => {
    assert.throws(() => parseChangesQuery(query), { name: 'BadRequestError', message: says });
  });
}

test('any query is understood or refused as one', () => {
  const names = fc.constantFrom('since', 'limit', 'feed', 'heartbeat', 'timeout', 'descending', 'include_docs', 'x');
  const query = fc.array(fc.tuple(names, fc.string())).map((pairs) => new URLSearchParams(pairs).toString());
  fc.assert(
    fc.property(fc.oneof(query, fc.string()), (text) => {
      try {
        const { limit } = parseChangesQuery(text);
        assert.ok(limit === null || (limit >= 1 && limit <= 10_000));
      } catch (error) {
        assert.ok(error instanceof BadRequestError, String(error));
      }
    }),
  );
});

test('of all kinds of entries, learned packages and withdrawn ones are changes of a packument', () => {
  fc.assert(
    fc.property(anyEntry, (entry) => {
      const is = entry.kind === 'learned' || (entry.kind === 'withdraw' && entry.version === '*');
      assert.deepEqual(changingEntry(formatEntry(entry)), is ? entry : null);
    }),
  );
});

const learned = { kind: 'learned', time: 5, name: '@s/p', head: 'ab'.repeat(32) } as const;
const withdrawn = { kind: 'withdraw', time: 7, name: '@s/p', version: '*', deadline: 60, reason: 'malware' } as const;
const present: PackageRow = { head: learned.head, seq: 3, withdrawn: null };
const gone: PackageRow = { head: null, seq: 3, withdrawn: { reason: 'malware', at: 7, deadline: 60 } };

test('a change is told in the shape of CouchDB, as long as it is the newest of its package', () => {
  const change = changeOf(12, formatEntry(learned), learned, present);
  assert.ok(change);
  assert.equal(showChange(change), `{"seq":12,"id":"@s/p","changes":[{"rev":"3-${'ab'.repeat(16)}"}]}`);
  for (const row of [null, gone, { ...present, head: 'cd'.repeat(32) }]) {
    assert.equal(changeOf(12, formatEntry(learned), learned, row), null);
  }
});

test('a withdrawn package is told as deleted, until it is learned again', () => {
  const change = changeOf(13, formatEntry(withdrawn), withdrawn, gone);
  assert.ok(change);
  assert.match(
    showChange(change),
    /^\{"seq":13,"id":"@s\/p","changes":\[\{"rev":"4-[0-9a-f]{32}"\}\],"deleted":true\}$/,
  );
  const later = { ...gone, withdrawn: { reason: 'malware', at: 8, deadline: 60 } };
  for (const row of [null, present, later]) assert.equal(changeOf(13, formatEntry(withdrawn), withdrawn, row), null);
});
