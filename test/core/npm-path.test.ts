import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BadRequestError, FederationError, NotFoundError } from '../../src/core/errors.ts';
import { isTarballFile, type NpmRequest, parseNpmRequest, takeName, versionFromFile } from '../../src/core/npm-path.ts';
import { isValidName } from '../../src/core/package-name.ts';

const packument = (name: string, write = false): NpmRequest => ({ kind: 'packument', name, write });
const manifest = (name: string, spec: string): NpmRequest => ({ kind: 'manifest', name, spec });
const tarball = (name: string, file: string): NpmRequest => ({ kind: 'tarball', name, file });
const federation = (query: string, ...path: string[]): NpmRequest => ({ kind: 'federation', path, query });

const reads: [string, NpmRequest][] = [
  ['/', { kind: 'root' }],
  ['/?x', { kind: 'root' }],
  // Packuments, as npm, yarn 1, yarn 4 and bun (%2f), pnpm (%2F) and people write them.
  ['/express', packument('express')],
  ['/express/', packument('express')],
  ['/@s/p', packument('@s/p')],
  ['/@s/p/', packument('@s/p')],
  ['/@s%2fp', packument('@s/p')],
  ['/@s%2Fp', packument('@s/p')],
  ['/%40s%2fp', packument('@s/p')],
  ['/%40s%2Fp', packument('@s/p')],
  ['/%40s/p', packument('@s/p')],
  ['/JSONStream', packument('JSONStream')],
  ['/constructor', packument('constructor')],
  ['/toString', packument('toString')],
  ['/%65xpress', packument('express')],
  ['/express?write=true', packument('express', true)],
  ['/@s%2fp?write=true', packument('@s/p', true)],
  ['/express?write=false', packument('express')],
  ['/express?', packument('express')],
  ['/express?%zz&=&&__proto__=1&a[]=%00%ff', packument('express')],
  ['/npm', packument('npm')],
  ['/-/federation', federation('')],
  ['http://registry.example/express', packument('express')],
  ['HTTPS://registry.example:4873/@s%2fp?write=true', packument('@s/p', true)],
  // Versions and tags.
  ['/express/1.0.0', manifest('express', '1.0.0')],
  ['/express/latest', manifest('express', 'latest')],
  ['/express/next-11', manifest('express', 'next-11')],
  ['/express/1.0.0-rc.1%2Bbuild', manifest('express', '1.0.0-rc.1+build')],
  ['/express/1.0.0-rc.1+build', manifest('express', '1.0.0-rc.1+build')],
  ['/express/%5E1.0.0', manifest('express', '^1.0.0')],
  ['/express/__proto__', manifest('express', '__proto__')],
  ['/express/caf%C3%A9', manifest('express', 'café')],
  ['/express/latest/', manifest('express', 'latest')],
  ['/@s/p/latest', manifest('@s/p', 'latest')],
  ['/@s%2fp/1.0.0', manifest('@s/p', '1.0.0')],
  ['/%40s%2Fp/beta', manifest('@s/p', 'beta')],
  // Tarballs: most clients, yarn 4 (%2f), and the old scoped shape.
  ['/p/-/p-1.0.0.tgz', tarball('p', 'p-1.0.0.tgz')],
  ['/p/-/p-1.0.0.tgz?cache=1', tarball('p', 'p-1.0.0.tgz')],
  ['/p/-/p-1.0.0.tar.gz', tarball('p', 'p-1.0.0.tar.gz')],
  ['/p/-/p-1.0.0%2Bb.tgz', tarball('p', 'p-1.0.0+b.tgz')],
  ['/@s/p/-/p-1.0.0.tgz', tarball('@s/p', 'p-1.0.0.tgz')],
  ['/@s%2fp/-/p-1.0.0.tgz', tarball('@s/p', 'p-1.0.0.tgz')],
  ['/@s%2Fp/-/p-1.0.0.tgz', tarball('@s/p', 'p-1.0.0.tgz')],
  ['/%40s%2fp/-/p-1.0.0.tgz', tarball('@s/p', 'p-1.0.0.tgz')],
  ['/@s/p/-/@s/p-1.0.0.tgz', tarball('@s/p', 'p-1.0.0.tgz')],
  ['/@s%2fp/-/@s%2fp-1.0.0.tgz', tarball('@s/p', 'p-1.0.0.tgz')],
  ['/@s/-/-/--1.0.0.tgz', tarball('@s/-', '--1.0.0.tgz')],
  // The replication feed, alone and below the name of the database that it once was.
  ['/_changes', { kind: 'changes', query: '' }],
  ['/_changes?since=5&limit=10', { kind: 'changes', query: 'since=5&limit=10' }],
  ['/registry/_changes?since=now', { kind: 'changes', query: 'since=now' }],
  ['/registry', packument('registry')],
  ['/express/_changes', manifest('express', '_changes')],
  // The rest of the npm API that can be read.
  ['/-/ping', { kind: 'ping' }],
  ['/-/ping?write=true', { kind: 'ping' }],
  ['/-/ping/', { kind: 'ping' }],
  ['/-/whoami', { kind: 'whoami' }],
  ['/-/healthz', { kind: 'healthz' }],
  ['/-/metrics', { kind: 'metrics' }],
  ['/-/npm/v1/keys', { kind: 'keys' }],
  ['/-/v1/search?text=a%20b&size=20', { kind: 'search', query: 'text=a%20b&size=20' }],
  ['/-/v1/search', { kind: 'search', query: '' }],
  ['/-/package/p/dist-tags', { kind: 'dist-tags', name: 'p', tag: null }],
  ['/-/package/@s%2fp/dist-tags', { kind: 'dist-tags', name: '@s/p', tag: null }],
  ['/-/package/@s/p/dist-tags', { kind: 'dist-tags', name: '@s/p', tag: null }],
  ['/-/package/p/dist-tags/latest', { kind: 'dist-tags', name: 'p', tag: 'latest' }],
  ['/-/npm/v1/attestations/p@1.0.0', { kind: 'attestations', name: 'p', version: '1.0.0', spec: 'p@1.0.0' }],
  ['/-/npm/v1/attestations/@s%2fp@1.0.0', { kind: 'attestations', name: '@s/p', version: '1.0.0', spec: '@s/p@1.0.0' }],
  ['/-/npm/v1/attestations/@s/p@1.0.0', { kind: 'attestations', name: '@s/p', version: '1.0.0', spec: '@s/p@1.0.0' }],
  [
    '/-/npm/v1/attestations/%40s%2fp%401.0.0',
    { kind: 'attestations', name: '@s/p', version: '1.0.0', spec: '@s/p@1.0.0' },
  ],
  ['/-/federation/hosts', federation('', 'hosts')],
  ['/-/federation/blob/sha512/ab?for=x', federation('for=x', 'blob', 'sha512', 'ab')],
  ['/-/federation/route/@s%2fp/-/p-1.0.0.tgz', federation('', 'route', '@s', 'p', '-', 'p-1.0.0.tgz')],
  ['/-/federation/route/@s/p/-/p-1.0.0.tgz', federation('', 'route', '@s', 'p', '-', 'p-1.0.0.tgz')],
  // Reads that need an account.
  ['/-/npm/v1/user', { kind: 'account', what: 'profile' }],
  ['/-/npm/v1/tokens', { kind: 'account', what: 'token' }],
  ['/-/user/org.couchdb.user:me', { kind: 'account', what: 'login' }],
  ['/-/package/p/collaborators', { kind: 'account', what: 'access' }],
  ['/-/package/@s%2fp/visibility', { kind: 'account', what: 'access' }],
  ['/-/org/o/package', { kind: 'account', what: 'organisation' }],
  ['/-/stage', { kind: 'account', what: 'stage' }],
];

for (const [url, expected] of reads) {
  test(`GET ${url}`, () => {
    assert.deepEqual(parseNpmRequest('GET', url), expected);
    assert.deepEqual(parseNpmRequest('HEAD', url), expected);
  });
}

const write = (what: string) => ({ kind: 'write', what });

const changes: [string, string, object][] = [
  ['PUT', '/p', write('publish')],
  ['PUT', '/@s%2fp', write('publish')],
  ['PUT', '/p/-rev/1-abc', write('unpublish')],
  ['DELETE', '/p/-rev/1-abc', write('unpublish')],
  ['DELETE', '/p/-/p-1.0.0.tgz/-rev/1-abc', write('unpublish')],
  ['DELETE', '/p', write('unpublish')],
  ['PUT', '/p/latest', write('dist-tag')],
  ['PUT', '/-/package/p/dist-tags/latest', write('dist-tag')],
  ['POST', '/-/package/@s%2fp/dist-tags', write('dist-tag')],
  ['DELETE', '/-/package/@s/p/dist-tags/next', write('dist-tag')],
  ['POST', '/-/package/p/access', write('access')],
  ['POST', '/-/v1/login', write('login')],
  ['PUT', '/-/user/org.couchdb.user:me', write('login')],
  ['PUT', '/-/user/org.couchdb.user:me/-rev/1', write('login')],
  ['DELETE', '/-/user/token/abc', write('logout')],
  ['POST', '/-/npm/v1/tokens', write('token')],
  ['DELETE', '/-/npm/v1/tokens/token/abc', write('token')],
  ['POST', '/-/npm/v1/oidc/token/exchange/package/@s%2fp', write('token')],
  ['POST', '/-/npm/v1/user', write('profile')],
  ['POST', '/-/npm/v1/hooks/hook', write('hook')],
  ['PUT', '/-/team/o/t/user', write('organisation')],
  ['POST', '/-/stage/package/p', write('stage')],
  ['POST', '/_changes?since=5', { kind: 'changes', query: 'since=5' }],
  ['POST', '/-/npm/v1/security/advisories/bulk', { kind: 'advisories' }],
  ['POST', '/-/npm/v1/security/audits', { kind: 'audit' }],
  ['POST', '/-/npm/v1/security/audits/quick', { kind: 'audit-quick' }],
  ['POST', '/-/federation/hosts/apply', federation('', 'hosts', 'apply')],
];

for (const [method, url, expected] of changes) {
  test(`${method} ${url}`, () => assert.deepEqual(parseNpmRequest(method, url), expected));
}

const malformed = [
  '',
  '*',
  'express',
  'registry.example:443',
  'ftp://registry.example/express',
  'http://',
  'http://registry.example',
  'javascript:alert(1)',
  '//',
  '//registry.example/express',
  '/express//',
  '/express//1.0.0',
  '//express',
  '/@s//p',
  '/.',
  '/..',
  '/../etc/passwd',
  '/express/..',
  '/express/../../etc/passwd',
  '/%2e%2e/etc/passwd',
  '/%2e%2E',
  '/.%2e/x',
  '/express/%2e%2e',
  '/express/-/%2e%2e',
  '/express/-/..%2f..%2fetc%2fpasswd',
  '/express%2f1.0.0',
  '/express%2F..%2F..',
  '/express/1%2f0',
  '/%2fexpress',
  '/express%2f',
  '/@s%2f',
  '/@%2fp',
  '/@s%2f..',
  '/@..%2fp/..',
  '/@s%2fp%2fq',
  '/@s%2f%2fp',
  '/%2e%2e%2f%2e%2e',
  '/express%00',
  '/%00',
  '/express/-/p-1.0.0.tgz%00.png',
  '/express%0d%0aSet-Cookie:%20x=1',
  '/express%7f',
  '/express%C2%85',
  '/express/%E2%80%AE',
  '/express/%E2%80%A8',
  '/%c0%af',
  '/%c0%ae%c0%ae/',
  '/%e0%80%af',
  '/%ed%a0%80',
  '/%ff',
  '/%',
  '/%2',
  '/%zz',
  '/express\\1.0.0',
  '/express%5c1.0.0',
  '/..%5c..',
  '/%252e%252e',
  '/@s%252fp',
  '/express%2500',
  '/express#x',
  '/express 1',
  '/express\t',
  '/express\r\nHost: x',
  '/exprêss',
  '/\u0000',
  `/${'x'.repeat(8 * 1024)}`,
];

for (const url of malformed) {
  test(`GET ${JSON.stringify(url.slice(0, 60))} is a bad request`, () => {
    assert.throws(() => parseNpmRequest('GET', url), BadRequestError);
  });
}

const absent = [
  '/__proto__',
  '/__proto__/1.0.0',
  '/_all_docs',
  '/.npmrc',
  '/favicon.ico',
  '/node_modules',
  '/-express',
  '/-',
  '/-/',
  '/@',
  '/@s',
  '/@s/',
  '/@s/.p',
  '/@.s/p',
  '/@s/__proto__/-',
  '/caf%C3%A9',
  '/%20express',
  `/${'x'.repeat(300)}`,
  `/@s/${'x'.repeat(300)}`,
  `/express/${'1'.repeat(300)}`,
  '/express/-',
  '/express/-/',
  '/express/-rev/1',
  '/express/1.0.0/x',
  '/express/-/x/y/z.tgz',
  '/express/-/express-1.0.0.zip',
  '/express/-/.tgz',
  '/express/-/caf%C3%A9.tgz',
  `/express/-/${'x'.repeat(600)}.tgz`,
  '/express/-/@s/p-1.0.0.tgz',
  '/@s/p/-/@t/p-1.0.0.tgz',
  '/@s/p/-/@s/q/p-1.0.0.tgz',
  '/-/all',
  '/-/__proto__',
  '/-/constructor',
  '/-/ping/x',
  '/-/npm/v1/keys/x',
  '/-/npm/v1/security/advisories/bulk',
  '/-/npm/v1/attestations/',
  '/-/npm/v1/attestations/p',
  '/-/npm/v1/attestations/@s%2fp',
  '/-/npm/v1/attestations/p@latest',
  '/-/npm/v1/attestations/__proto__@1.0.0',
  '/-/package/__proto__/dist-tags',
  '/-/package/@s/dist-tags',
  '/-/package',
  '/-/package/p',
  '/-/usera',
];

for (const url of absent) {
  test(`GET ${url.slice(0, 60)} is not found`, () => {
    assert.throws(() => parseNpmRequest('GET', url), NotFoundError);
  });
}

test('methods that npm does not use are refused, and reads are only read', () => {
  for (const method of ['PATCH', 'OPTIONS', 'TRACE', 'CONNECT', 'get', '', '__proto__']) {
    assert.throws(() => parseNpmRequest(method, '/express'), BadRequestError, method);
  }
  for (const url of ['/', '/-/v1/search', '/-/npm/v1/attestations/p@1.0.0']) {
    assert.throws(() => parseNpmRequest('PUT', url), BadRequestError, url);
  }
  assert.throws(() => parseNpmRequest('PUT', '/__proto__'), NotFoundError);
  assert.throws(() => parseNpmRequest('PUT', '/-/ping'), NotFoundError);
  assert.throws(() => parseNpmRequest('PUT', '/-/npm/v1/security/audits'), NotFoundError);
});

test('a message quotes at most a little of a long URL', () => {
  assert.throws(
    () => parseNpmRequest('GET', `/${'x'.repeat(8000)}`),
    (error: FederationError) => error.message.length < 300,
  );
});

test('names come off segments in one or two', () => {
  assert.deepEqual(takeName(['p', 'x']), { name: 'p', rest: ['x'] });
  assert.deepEqual(takeName(['@s', 'p', 'x', 'y']), { name: '@s/p', rest: ['x', 'y'] });
  assert.throws(() => takeName([]), NotFoundError);
  assert.throws(() => takeName(['@s']), NotFoundError);
});

const files: [string, string, string | null][] = [
  ['p', 'p-1.0.0.tgz', '1.0.0'],
  ['@s/p', 'p-1.0.0.tgz', '1.0.0'],
  ['p', 'p-1.0.0-rc.1+build.tgz', '1.0.0-rc.1+build'],
  ['p', 'p-1.0.0.tar.gz', '1.0.0'],
  ['p-q', 'p-q-1.0.0.tgz', '1.0.0'],
  ['p', 'p-q-1.0.0.tgz', null],
  ['p', 'q-1.0.0.tgz', null],
  ['p', 'p-1.0.0.zip', null],
  ['p', 'p-.tgz', null],
  ['p', 'p.tgz', null],
  ['p', 'P-1.0.0.tgz', null],
];

for (const [name, file, version] of files) {
  test(`${file} of ${name} is version ${version}`, () => assert.equal(versionFromFile(name, file), version));
}

const piece = fc.oneof(
  fc.constantFrom(
    'express',
    '@s',
    'p',
    '-',
    '..',
    '.',
    '',
    '@s%2fp',
    '%2e%2e',
    '%2f',
    '%00',
    '%5c',
    '%25',
    'package',
    'npm',
    'v1',
  ),
  fc.constantFrom(
    'dist-tags',
    'attestations',
    'p@1.0.0',
    'p-1.0.0.tgz',
    '__proto__',
    '-rev',
    'federation',
    '?',
    '%c0%af',
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.string({ unit: fc.constantFrom(...'@%2fFeE./\\-_~a1'), maxLength: 12 }),
);
const target = fc.array(piece, { maxLength: 6 }).map((pieces) => `/${pieces.join('/')}`);
const method = fc.constantFrom('GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'PATCH');

test('whatever is asked, the answer is a request or one of our errors, and names in it are valid', () => {
  fc.assert(
    fc.property(method, fc.oneof(target, fc.string({ unit: 'binary' })), (verb, url) => {
      try {
        const request = parseNpmRequest(verb, url);
        if ('name' in request) assert.ok(isValidName(request.name));
        if (request.kind === 'tarball') assert.ok(isTarballFile(request.file));
        if (request.kind === 'federation')
          assert.ok(!request.path.some((part) => /^\.{0,2}$|[/\\%]|\p{Cc}/u.test(part)));
      } catch (error) {
        assert.ok(error instanceof FederationError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});

test('every spelling of a valid name and file is read back', () => {
  const part = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,12}$/);
  fc.assert(
    fc.property(
      part,
      part,
      fc.constantFrom('%2f', '%2F', '/'),
      fc.constantFrom('@', '%40'),
      (scope, name, slash, at) => {
        fc.pre(name !== 'node_modules' && name !== 'favicon.ico');
        const full = `@${scope}/${name}`;
        const path = `/${at}${scope}${slash}${name}`;
        assert.deepEqual(parseNpmRequest('GET', path), packument(full));
        assert.deepEqual(parseNpmRequest('GET', `${path}/1.0.0`), manifest(full, '1.0.0'));
        assert.deepEqual(parseNpmRequest('GET', `${path}/-/${name}-1.0.0.tgz`), tarball(full, `${name}-1.0.0.tgz`));
      },
    ),
  );
});
