import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { tarballUrlAt } from '../../src/core/assembly.ts';
import { UsageError } from '../../src/core/errors.ts';
import { hostOf, isAt, type JudgedUrl, judgeUrl, parseRegistryUrl } from '../../src/core/lockfile-url.ts';

const kindOf = (url: string, name: string, version: string): JudgedUrl['kind'] => judgeUrl(url, name, version).kind;

test('registries spell the same tarball in many ways', () => {
  const plain = [
    'https://registry.example/ms/-/ms-2.0.0.tgz',
    'HTTPS://Registry.Example:443/ms/-/ms-2.0.0.tgz',
    'http://user:secret@registry.example:8080/api/npm/all/ms/-/ms-2.0.0.tgz?cache=0&sync_timestamp=1',
    'https://registry.example/ms/download/ms-2.0.0.tgz?other_urls=https%3A%2F%2Fcdn.example%2Fms.tgz',
    'https://cdn.example/packages/ms/2.0.0/ms-2.0.0.tgz',
  ];
  for (const url of plain) assert.equal(kindOf(url, 'ms', '2.0.0'), 'tarball', url);
  const scoped = [
    'https://registry.example/@s/p/-/p-1.0.0-rc.1.tgz',
    'https://registry.example/@s%2fp/-/p-1.0.0-rc.1.tgz',
    'https://registry.example/%40s%2Fp/-/p-1.0.0-rc.1.tgz',
    'https://registry.example/@s/p/-/@s/p-1.0.0-rc.1.tgz',
    'https://registry.example/@s/p/download/@s/p-1.0.0-rc.1.tgz',
    'https://cdn.example/packages/@s/p/1.0.0-rc.1/p-1.0.0-rc.1.tgz',
  ];
  for (const url of scoped) assert.equal(kindOf(url, '@s/p', '1.0.0-rc.1'), 'tarball', url);
});

test('the base is what stands before the name', () => {
  const bases = ['https://registry.example', 'http://[::1]:8080', 'https://registry.example/api/npm/all'];
  for (const base of bases) {
    const judged = judgeUrl(`${base}/@s%2Fp/-/p-1.0.0.tgz`, '@s/p', '1.0.0');
    assert.ok(judged.kind === 'tarball' && isAt(judged.base, base), base);
    assert.ok(judged.kind === 'tarball' && !isAt(judged.base, `${base}/more`));
  }
});

test('a URL of another name, version or scope is a mismatch', () => {
  const urls = [
    'https://registry.example/evil/-/evil-2.0.0.tgz',
    'https://registry.example/evil/-/ms-2.0.0.tgz',
    'https://registry.example/ms/-/evil-2.0.0.tgz',
    'https://registry.example/ms/-/ms-2.0.1.tgz',
    'https://registry.example/@evil/ms/-/ms-2.0.0.tgz',
    'https://registry.example/MS/-/MS-2.0.0.tgz',
  ];
  for (const url of urls) assert.equal(kindOf(url, 'ms', '2.0.0'), 'mismatch', url);
  assert.equal(kindOf('https://registry.example/p/-/p-1.0.0.tgz', '@s/p', '1.0.0'), 'mismatch');
});

test('a path that no registry uses is neither', () => {
  const urls = [
    'https://code.example/user/ms/tar.gz/abcdef',
    'https://code.example/user/ms/archive/v2.0.0.tar.gz',
    'https://files.example/ms-2.0.0.tgz',
    'https://files.example/evil/2.0.0/evil-2.0.0.tgz',
    'https://registry.example/ms/-/%ff-2.0.0.tgz',
    'https://registry.example/@other/x/-/@s/ms-2.0.0.tgz',
    'git+ssh://git@code.example/ms/-/ms-2.0.0.tgz',
    'file:///ms/-/ms-2.0.0.tgz',
    'ms/-/ms-2.0.0.tgz',
    '',
  ];
  for (const url of urls) assert.equal(kindOf(url, 'ms', '2.0.0'), 'other', url);
  assert.equal(kindOf('https://registry.example/../-/..-1.0.0.tgz', '..', '1.0.0'), 'other');
  assert.equal(kindOf('https://registry.example/ms/-/ms-x.tgz', 'ms', 'x'), 'other');
});

test('a file named after the old spelling of a version is right, but nobody derives it', () => {
  const judged = judgeUrl('https://registry.example/p/-/p-1.0.0beta.tgz', 'p', '1.0.0-beta');
  assert.deepEqual(judged, {
    kind: 'tarball',
    base: 'https://registry.example',
    file: 'p-1.0.0beta.tgz',
    derivable: false,
  });
});

test('property: what tarballUrlAt gives is judged right at its registry, and at no other name or version', () => {
  const name = fc.constantFrom('ms', '@s/p', 'a.b-c_d', '@a-b/c.d', 'download', '@s/download', 'x-1.0.0');
  const version = fc
    .tuple(fc.nat(99), fc.nat(99), fc.constantFrom('', '-rc.1', '-x-y'))
    .map(([a, b, c]) => `${a}.${b}.0${c}`);
  const registry = fc.constantFrom('https://registry.example', 'http://localhost:4873', 'https://r.example/a/-/b');
  fc.assert(
    fc.property(name, version, registry, (of, at, base) => {
      const url = tarballUrlAt(base, of, `${of.slice(of.indexOf('/') + 1)}-${at}.tgz`);
      const judged = judgeUrl(url, of, at);
      assert.ok(judged.kind === 'tarball' && judged.derivable && isAt(judged.base, base), url);
      assert.equal(kindOf(url, `${of}x`, at), 'mismatch');
      assert.equal(kindOf(url, of, `${at}.1`.replace('-', '1-')), judgedOther(at));
    }),
  );
});

/** A version with a fourth number is none at all. */
const judgedOther = (version: string): JudgedUrl['kind'] => (version.includes('-') ? 'mismatch' : 'other');

test('registry URLs come without a slash at their end, and without secrets', () => {
  assert.equal(parseRegistryUrl('https://Registry.example:443//'), 'https://registry.example');
  assert.equal(parseRegistryUrl('http://localhost:4873/npm/'), 'http://localhost:4873/npm');
  for (const text of [
    'registry.example',
    'ftp://registry.example',
    'https://u:p@r.example',
    'https://r.example/?a',
    '',
  ]) {
    assert.throws(() => parseRegistryUrl(text), UsageError, text);
  }
  assert.throws(
    () => parseRegistryUrl('https://user:secret@r.example'),
    (error: Error) => !error.message.includes('secret'),
  );
  assert.equal(hostOf('https://user:secret@registry.example:8080/x'), 'registry.example:8080');
});
