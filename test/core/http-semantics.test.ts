import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { utf8 } from '../../src/core/bytes.ts';
import { sha512Hex } from '../../src/core/hash.ts';
import {
  CACHE,
  cacheStatus,
  etagOf,
  negotiateEncoding,
  planRead,
  type RequestHeaders,
  reprDigest,
  wantsAbbreviated,
} from '../../src/core/http-semantics.ts';

const encodings: [string | undefined, string | null][] = [
  [undefined, 'identity'],
  ['', 'identity'],
  ['gzip', 'gzip'],
  ['GZIP', 'gzip'],
  ['x-gzip', 'gzip'],
  ['gzip, deflate', 'gzip'],
  ['gzip,deflate,br', 'br'],
  ['zstd, gzip, deflate', 'zstd'],
  ['gzip, deflate, br, zstd', 'zstd'],
  ['gzip;q=1, br;q=0.9', 'gzip'],
  ['gzip;q=0.5, br;q=0.9', 'br'],
  ['gzip ; q=0.5 , br ; q = 0.9', 'br'],
  ['gzip;Q=0, br;q=0', 'identity'],
  ['deflate', 'identity'],
  ['identity', 'identity'],
  ['identity, gzip;q=0.5', 'identity'],
  ['identity;q=0.5, gzip;q=0.5', 'gzip'],
  ['identity;q=0.5, gzip;q=0.001', 'identity'],
  ['gzip;q=0.001', 'gzip'],
  ['*', 'zstd'],
  ['*;q=0', null],
  ['*;q=0, gzip', 'gzip'],
  ['*;q=0, deflate', null],
  ['*;q=0, identity', 'identity'],
  ['gzip;q=0.3, *;q=0', 'gzip'],
  ['zstd;q=0, *', 'br'],
  ['zstd;q=0.1, br;q=0.1, gzip;q=0.1, *;q=0.5', 'identity'],
  ['identity;q=0', null],
  ['identity;q=0, gzip', 'gzip'],
  ['identity;q=0, deflate', null],
  ['gzip;q=2', 'identity'],
  ['gzip;q=0.1234', 'identity'],
  ['gzip;q=x, br;q=0.1', 'br'],
  ['gzip;q=', 'identity'],
  [',,gzip,,', 'gzip'],
  [';;;q=1', 'identity'],
  ['gzip;x="a,b;q=0";q=0.2, br;q=0.1', 'gzip'],
];

for (const [header, expected] of encodings) {
  test(`Accept-Encoding ${header} gets ${expected}`, () => {
    assert.equal(negotiateEncoding(header, ['zstd', 'br', 'gzip']), expected);
  });
}

test('with nothing to offer, identity is sent if it may be', () => {
  assert.equal(negotiateEncoding('gzip', []), 'identity');
  assert.equal(negotiateEncoding('gzip, identity;q=0', []), null);
  assert.equal(negotiateEncoding('gzip', ['identity', 'gzip']), 'gzip');
});

const accepts: [string | undefined, boolean][] = [
  [undefined, false],
  ['', false],
  ['*/*', false],
  ['application/json', false],
  ['application/*', false],
  ['application/vnd.npm.install-v1+json', true],
  ['application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*', true],
  ['application/vnd.npm.install-v1+json;q=1.0,application/json;q=0.8', true],
  ['Application/Vnd.NPM.install-v1+JSON', true],
  ['application/vnd.npm.install-v1+json, */*', true],
  ['application/json, application/vnd.npm.install-v1+json', true],
  ['application/vnd.npm.install-v1+json;q=0.5, application/json', false],
  ['application/vnd.npm.install-v1+json;q=0.5, */*', false],
  ['application/vnd.npm.install-v1+json;q=0.5, */*;q=0.1', true],
  ['application/vnd.npm.install-v1+json;q=0.5, application/*;q=0.1, */*', true],
  ['application/vnd.npm.install-v1+json;q=0', false],
  ['application/vnd.npm.install-v1+json;q=bad, application/json;q=0.1', false],
  ['application/vnd.npm.install-v1+jsonx', false],
];

for (const [header, expected] of accepts) {
  test(`Accept ${header} means ${expected ? 'abbreviated' : 'full'}`, () => {
    assert.equal(wantsAbbreviated(header), expected);
  });
}

const etag = '"abc"';
const full = { status: 200, range: null, body: true };
const notModified = { status: 304, headers: { etag }, range: null, body: false };
const neverStored = { 'cache-control': 'no-store' };
const failed = { status: 412, headers: neverStored, range: null, body: false };
const unsatisfiable = {
  status: 416,
  headers: { 'content-range': 'bytes */100', ...neverStored },
  range: null,
  body: false,
};
const whole = { ...full, headers: { etag, 'accept-ranges': 'bytes', 'content-length': '100' } };

function part(start: number, end: number) {
  const headers = {
    etag,
    'accept-ranges': 'bytes',
    'content-length': `${end - start}`,
    'content-range': `bytes ${start}-${end - 1}/100`,
  };
  return { status: 206, headers, range: { start, end }, body: true };
}

const plans: [string, RequestHeaders, object][] = [
  ['GET', {}, whole],
  ['HEAD', {}, { ...whole, body: false }],
  // If-None-Match compares weakly.
  ['GET', { 'if-none-match': '"abc"' }, notModified],
  ['HEAD', { 'if-none-match': '"abc"' }, notModified],
  ['GET', { 'if-none-match': 'W/"abc"' }, notModified],
  ['GET', { 'if-none-match': '"x", W/"y",  "abc"' }, notModified],
  ['GET', { 'if-none-match': '"x,y","abc"' }, notModified],
  ['GET', { 'if-none-match': ['"x"', '"abc"'] }, notModified],
  ['GET', { 'if-none-match': '*' }, notModified],
  ['GET', { 'if-none-match': ' * ' }, notModified],
  ['GET', { 'if-none-match': '"x"' }, whole],
  ['GET', { 'if-none-match': '"ABC"' }, whole],
  ['GET', { 'if-none-match': 'abc' }, whole],
  ['GET', { 'if-none-match': '"a\u0001bc"' }, whole],
  ['GET', { 'if-none-match': '' }, whole],
  ['GET', { 'if-none-match': '"x*"' }, whole],
  // By date: we give out no date, so these are ignored.
  ['GET', { 'if-modified-since': 'Sat, 01 Jan 2050 00:00:00 GMT' }, whole],
  ['GET', { 'if-unmodified-since': 'Sat, 01 Jan 2000 00:00:00 GMT' }, whole],
  // If-Match compares strongly and goes first.
  ['GET', { 'if-match': '"abc"' }, whole],
  ['GET', { 'if-match': '"x", "abc"' }, whole],
  ['GET', { 'if-match': '*' }, whole],
  ['GET', { 'if-match': '"x"' }, failed],
  ['GET', { 'if-match': 'W/"abc"' }, failed],
  ['GET', { 'if-match': 'garbage' }, failed],
  ['GET', { 'if-match': '"x"', 'if-none-match': '"abc"' }, failed],
  ['GET', { 'if-match': '"abc"', 'if-none-match': '"abc"' }, notModified],
  ['GET', { 'if-match': '"x"', range: 'bytes=0-9' }, failed],
  // Ranges.
  ['GET', { range: 'bytes=0-9' }, part(0, 10)],
  ['GET', { range: 'bytes=0-0' }, part(0, 1)],
  ['GET', { range: 'Bytes = 10-19 ' }, part(10, 20)],
  ['GET', { range: 'bytes=90-' }, part(90, 100)],
  ['GET', { range: 'bytes=0-' }, part(0, 100)],
  ['GET', { range: 'bytes=99-99' }, part(99, 100)],
  ['GET', { range: 'bytes=0-1000' }, part(0, 100)],
  ['GET', { range: `bytes=0-${'9'.repeat(400)}` }, part(0, 100)],
  ['GET', { range: 'bytes=-10' }, part(90, 100)],
  ['GET', { range: 'bytes=-1000' }, part(0, 100)],
  ['GET', { range: `bytes=-${'9'.repeat(400)}` }, part(0, 100)],
  ['GET', { range: 'bytes=100-' }, unsatisfiable],
  ['GET', { range: 'bytes=100-200' }, unsatisfiable],
  ['GET', { range: `bytes=${'9'.repeat(400)}-` }, unsatisfiable],
  ['GET', { range: 'bytes=-0' }, unsatisfiable],
  ['GET', { range: 'bytes=9-1' }, whole],
  ['GET', { range: 'bytes=-' }, whole],
  ['GET', { range: 'bytes=' }, whole],
  ['GET', { range: 'bytes=a-b' }, whole],
  ['GET', { range: 'bytes=1.5-2' }, whole],
  ['GET', { range: 'bytes=0-1,5-6' }, whole],
  ['GET', { range: 'items=0-1' }, whole],
  ['GET', { range: '0-1' }, whole],
  ['GET', { range: ['bytes=0-1', 'bytes=0-1'] }, whole],
  ['HEAD', { range: 'bytes=0-9' }, { ...whole, body: false }],
  ['HEAD', { range: 'bytes=100-' }, { ...whole, body: false }],
  ['GET', { range: 'bytes=0-9', 'if-none-match': '"abc"' }, notModified],
  ['GET', { range: 'bytes=0-9', 'if-none-match': '"x"' }, part(0, 10)],
  // If-Range compares strongly; a mismatch gives everything.
  ['GET', { range: 'bytes=0-9', 'if-range': '"abc"' }, part(0, 10)],
  ['GET', { range: 'bytes=0-9', 'if-range': '"x"' }, whole],
  ['GET', { range: 'bytes=0-9', 'if-range': 'W/"abc"' }, whole],
  ['GET', { range: 'bytes=0-9', 'if-range': '*' }, whole],
  ['GET', { range: 'bytes=0-9', 'if-range': 'Sat, 01 Jan 2050 00:00:00 GMT' }, whole],
  ['GET', { range: 'bytes=100-', 'if-range': '"x"' }, whole],
  ['GET', { 'if-range': '"x"' }, whole],
];

for (const [method, headers, expected] of plans) {
  test(`${method} with ${JSON.stringify(headers).slice(0, 80)}`, () => {
    assert.deepEqual(planRead(method, headers, { etag, size: 100, allowRange: true }), expected);
  });
}

test('a weak tag of our own never satisfies If-Match or If-Range', () => {
  const weak = { etag: 'W/"abc"', size: 100, allowRange: true };
  assert.equal(planRead('GET', { 'if-match': 'W/"abc"' }, weak).status, 412);
  assert.equal(planRead('GET', { range: 'bytes=0-9', 'if-range': 'W/"abc"' }, weak).status, 200);
  assert.equal(planRead('GET', { 'if-none-match': '"abc"' }, weak).status, 304);
});

test('without ranges, or without a size, everything is sent', () => {
  const range = { range: 'bytes=0-9' };
  const unranged = planRead('GET', range, { etag, size: 100, allowRange: false });
  assert.deepEqual(unranged, { ...full, headers: { etag, 'content-length': '100' } });
  const unsized = planRead('GET', range, { etag, size: null, allowRange: true });
  assert.deepEqual(unsized, { ...full, headers: { etag, 'accept-ranges': 'bytes' } });
});

test('nothing can be read in part of an empty representation', () => {
  const empty = { etag, size: 0, allowRange: true };
  assert.equal(planRead('GET', { range: 'bytes=0-' }, empty).status, 416);
  assert.equal(planRead('GET', { range: 'bytes=-5' }, empty).status, 200);
  assert.equal(planRead('GET', {}, empty).headers['content-length'], '0');
});

test('any range header gives a part inside of the representation or everything', () => {
  const header = fc.oneof(
    fc.string(),
    fc.tuple(fc.nat(120), fc.nat(120)).map(([first, last]) => `bytes=${first}-${last}`),
    fc.string({ unit: fc.constantFrom(...'bytes=-, 0123456789') }),
  );
  fc.assert(
    fc.property(header, fc.nat(110), (range, size) => {
      const plan = planRead('GET', { range }, { etag, size, allowRange: true });
      assert.equal(plan.status === 206, plan.range !== null);
      if (!plan.range) return;
      const { start, end } = plan.range;
      assert.ok(start >= 0 && start < end && end <= size);
      assert.equal(plan.headers['content-length'], `${end - start}`);
    }),
  );
});

test('any header is negotiated in time linear in its length', () => {
  const text = fc.string({ unit: fc.constantFrom(...'gzip,;q=01.*" /'), maxLength: 60 });
  fc.assert(
    fc.property(text, (header) => {
      assert.ok(['gzip', 'identity', null].includes(negotiateEncoding(header, ['gzip'])));
      assert.equal(typeof wantsAbbreviated(header), 'boolean');
    }),
  );
  // Quadratic work on this much would take minutes.
  for (const piece of [',', '"', '",', ';q', 'a;"', ' ']) {
    const header = piece.repeat(300_000 / piece.length);
    assert.equal(negotiateEncoding(header, ['gzip']), 'identity');
    assert.equal(planRead('GET', { 'if-none-match': header }, { etag, size: 1, allowRange: true }).status, 200);
  }
});

test('entity tags are strong, and differ with any part and with where parts end', () => {
  assert.match(etagOf('a', 'b'), /^"[\w-]{32}"$/);
  assert.equal(etagOf('a', 'b'), etagOf('a', 'b'));
  const tags = [etagOf('a', 'b'), etagOf('b', 'a'), etagOf('ab'), etagOf('a', 'b', ''), etagOf('a,b'), etagOf('a\nb')];
  assert.equal(new Set(tags).size, tags.length);
});

test('Repr-Digest spells a hash as the example of RFC 9530 does', () => {
  const sha512 = sha512Hex(utf8('{"hello": "world"}\n'));
  const digest = 'YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==';
  assert.equal(reprDigest(sha512), `sha-512=:${digest}:`);
});

test('Cache-Status names what the cache did', () => {
  assert.equal(cacheStatus('open-registry', { hit: true }), 'open-registry; hit');
  assert.equal(cacheStatus('open-registry', { hit: true, ttl: 299.9 }), 'open-registry; hit; ttl=299');
  assert.equal(
    cacheStatus('open-registry', { fwd: 'stale', fwdStatus: 503, ttl: -20, detail: 'upstream "away"\n\\' }),
    'open-registry; fwd=stale; fwd-status=503; ttl=-20; detail="upstream \\"away\\"?\\\\"',
  );
  const facts = { fwd: 'uri-miss', stored: true, collapsed: true } as const;
  assert.equal(cacheStatus('open-registry', facts), 'open-registry; fwd=uri-miss; stored; collapsed');
});

test('only what is hashed is immutable', () => {
  assert.doesNotMatch(CACHE.byName, /immutable/);
  assert.match(CACHE.byHash, /immutable/);
});
