import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { MalformedError } from '../../src/core/errors.ts';
import { MANIFEST_BYTES_MAX } from '../../src/core/limits.ts';
import {
  ABBREVIATED_MEMBERS,
  abbreviate,
  canonicalFile,
  pinsEqual,
  readPins,
  takeManifest,
} from '../../src/core/manifest.ts';
import { manifestText, packageNames } from '../support/packument-text.ts';

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const pinsIn = (source: string) => readPins(Buffer.from(source));
const takeText = (source: string, name = 'p', version = '1.0.0') => takeManifest(Buffer.from(source), name, version);

/** A manifest of p@1.0.0 with these members and this tarball URL. */
function manifest(members: Record<string, unknown> = {}, tarball = 'https://registry.example/p/-/p-1.0.0.tgz'): string {
  return JSON.stringify({ name: 'p', version: '1.0.0', dist: { tarball }, ...members });
}

const anyManifest = fc
  .tuple(fc.constantFrom(...packageNames), fc.constantFrom('1.0.0', '2.0.0-rc.1+b'))
  .chain(([name, version]) => fc.tuple(fc.constant(name), fc.constant(version), manifestText(name, version)));

test('leaves out the URL and not one byte more', () => {
  fc.assert(
    fc.property(anyManifest, ([name, version, source]) => {
      const taken = takeText(source, name, version);
      const bytes = Buffer.from(source);
      const url = bytes.subarray(taken.cut, taken.cut + bytes.length - taken.manifest.length);
      const parts = [taken.manifest.subarray(0, taken.cut), url, taken.manifest.subarray(taken.cut)];
      assert.deepEqual(Buffer.concat(parts), bytes);
      assert.equal(taken.tarballUrl, JSON.parse(source).dist.tarball);
      assert.equal(JSON.parse(`"${text(url)}"`), taken.tarballUrl);
    }),
    { numRuns: 150 },
  );
});

test('keeps in the abbreviated form what the rule says, and adds what only scripts show', () => {
  fc.assert(
    fc.property(anyManifest, ([name, version, source]) => {
      const { abbreviated, abbreviatedCut } = takeText(source, name, version);
      const parsed = JSON.parse(source);
      const kept = Object.entries(parsed).filter(([key]) => ABBREVIATED_MEMBERS.has(key));
      const { preinstall, install, postinstall } = parsed.scripts ?? {};
      const added =
        !('hasInstallScript' in parsed) && (preinstall || install || postinstall || parsed.gypfile === true);
      const expected = { ...Object.fromEntries(kept), ...(added ? { hasInstallScript: true } : {}) };
      const url = JSON.stringify(parsed.dist.tarball).slice(1, -1);
      const whole = text(abbreviated.subarray(0, abbreviatedCut)) + url + text(abbreviated.subarray(abbreviatedCut));
      assert.deepEqual(JSON.parse(whole), expected);
    }),
    { numRuns: 150 },
  );
});

test('derives the abbreviated form and the pins from the stored blob alone', () => {
  fc.assert(
    fc.property(anyManifest, ([name, version, source]) => {
      const taken = takeText(source, name, version);
      const { abbreviated, abbreviatedCut } = abbreviate(taken.manifest, taken.cut);
      assert.equal(text(abbreviated), text(taken.abbreviated));
      assert.equal(abbreviatedCut, taken.abbreviatedCut);
      assert.ok(pinsEqual(readPins(taken.manifest), readPins(Buffer.from(source))));
    }),
    { numRuns: 100 },
  );
});

test('keeps raw bytes in the abbreviated form', () => {
  const source = `{ "versi\\u006fn" : "1.0.0",
    "engines" : { "node" : 1.10 }, "readme":"x", "name":"p",
    "dist":{ "tarball" : "https:\\/\\/registry.example\\/p\\/-\\/p-1.0.0.tgz" , "shasum":null }, "scripts":{"install":"x"} }`;
  const { abbreviated, abbreviatedCut, tarballUrl } = takeText(source);
  assert.equal(tarballUrl, 'https://registry.example/p/-/p-1.0.0.tgz');
  const expected =
    '{"versi\\u006fn":"1.0.0","engines":{ "node" : 1.10 },"name":"p",' +
    '"dist":{ "tarball" : "" , "shasum":null },"hasInstallScript":true}';
  assert.equal(text(abbreviated), expected);
  assert.equal(abbreviatedCut, expected.indexOf('""') + 1);
});

test('reads hashes and signatures, and only those that are ones', () => {
  const sha1 = '0a'.repeat(20);
  const integrity = `sha512-${Buffer.alloc(64, 1).toString('base64')}`;
  const signatures = [{ keyid: 'k', sig: 's', more: 1 }, { keyid: 'k' }, null, 'x', { keyid: 1, sig: 's' }];
  const tarball = 'https://registry.example/p.tgz';
  const taken = takeText(manifest({ dist: { tarball, integrity, shasum: sha1, signatures } }));
  assert.deepEqual(taken.pinned, { algorithm: 'sha512', hex: '01'.repeat(64) });
  assert.equal(taken.integrity, integrity);
  assert.deepEqual(taken.dist, { tarball, integrity, shasum: sha1, signatures });
  assert.deepEqual(taken.signatures, [{ keyid: 'k', sig: 's' }]);
  const old = takeText(manifest({ dist: { tarball, shasum: sha1, integrity: 7, signatures: {} } }));
  assert.deepEqual([old.pinned, old.integrity, old.signatures], [{ algorithm: 'sha1', hex: sha1 }, null, []]);
  assert.equal(takeText(manifest({ dist: { tarball } })).pinned, null);
});

test('takes the file name of the URL if it can not mean another version', () => {
  const files: [tarball: string, file: string][] = [
    ['https://registry.example/p/-/p-1.0.0.tgz', 'p-1.0.0.tgz'],
    ['https://registry.example/p/-/P-1.0.0.tgz', 'P-1.0.0.tgz'],
    ['https://registry.example/p/-/p-1.0.0.tar.gz?x=/y.tgz#z', 'p-1.0.0.tar.gz'],
    ['https://registry.example/download/1.0.0/package.tgz', 'package.tgz'],
    ['https://registry.example/p/-/p-2.0.0.tgz', 'p-1.0.0.tgz'],
    ['https://registry.example/p/-/p-1.0.0.zip', 'p-1.0.0.tgz'],
    ['https://registry.example/p/-/p%2d1.0.0.tgz', 'p-1.0.0.tgz'],
    ['https://registry.example/p/-/..%2f..%2fx.tgz', 'p-1.0.0.tgz'],
    ['https://registry.example/p/-/p-1.0.0.tgz/', 'p-1.0.0.tgz'],
    ['https://registry.example/p\n/-/p"1.0.0.tgz', 'p-1.0.0.tgz'],
    [`https://registry.example/${'x'.repeat(600)}.tgz`, 'p-1.0.0.tgz'],
    ['x', 'p-1.0.0.tgz'],
  ];
  for (const [tarball, file] of files) assert.equal(takeText(manifest({}, tarball)).file, file, tarball);
  assert.equal(canonicalFile('@scope/p', '1.0.0-rc.1'), 'p-1.0.0-rc.1.tgz');
});

test('pins what changes what gets installed or run, and nothing else', () => {
  const pinned = {
    ...{ dependencies: { a: '1' }, optionalDependencies: { b: '1' }, peerDependencies: { c: '1' }, bin: './x.js' },
    ...{ peerDependenciesMeta: { c: { optional: true } }, bundleDependencies: ['a'], bundledDependencies: true },
    ...{ scripts: { install: 'x' }, hasInstallScript: false, gypfile: true, _hasShrinkwrap: false },
    ...{ engines: { node: '>=1' }, os: ['linux'], cpu: ['!arm'], libc: ['musl'] },
  };
  const others = { devDependencies: { d: '1' }, deprecated: 'x', readme: 'x', maintainers: [], funding: 'x' };
  const directories = { bin: './bin', lib: './lib' };
  assert.deepEqual(pinsIn(manifest({ ...others, ...pinned, directories })), { ...pinned, 'directories.bin': './bin' });
  assert.deepEqual(pinsIn(manifest({ directories: 'x', scripts: null })), { scripts: null });
});

test('compares pins by value', () => {
  const pins = (members: string) => pinsIn(manifest().replace('{', `{${members},`));
  const a = pins('"dependencies":{"a":"1","b":"2"},"os":["x","y"],"bin":"\\u0061"');
  assert.ok(pinsEqual(a, pins('"bin":"a","os":["x","y"],"dependencies":{"b":"2", "a":"1"}')));
  assert.ok(pinsEqual(a, JSON.parse(JSON.stringify(a))));
  assert.ok(!pinsEqual(a, pins('"bin":"a","os":["y","x"],"dependencies":{"b":"2","a":"1"}')));
  assert.ok(!pinsEqual(a, pins('"bin":"a","os":["x","y"]')));
  assert.ok(!pinsEqual(pins('"os":[]'), pins('"os":{}')));
  assert.ok(!pinsEqual(pins('"os":null'), pins('"os":{}')));
  assert.ok(!pinsEqual(pins('"os":["x"]'), pins('"os":["x","y"]')));
  assert.ok(!pinsEqual(pins('"bin":{"__proto__":{}}'), pins('"bin":{"x":{}}')));
  assert.ok(!pinsEqual(pins('"dependencies":{}'), pins('"dependencies":{"__proto__":"1"}')));
});

test('never touches a prototype', () => {
  const source = manifest().replace('{', '{"__proto__":{"x":1},"scripts":{"__proto__":{"install":"x"}},');
  const taken = takeText(source);
  assert.equal(text(taken.abbreviated).includes('hasInstallScript'), false);
  assert.equal(({} as Record<string, unknown>).x, undefined);
  assert.ok(text(taken.manifest).startsWith('{"__proto__":{"x":1}'));
});

const refused: [reason: RegExp, source: string, version?: string][] = [
  [/expected an object/, '[]'],
  [/expected an object/, 'null'],
  [/more text follows/, `${manifest()} 1`],
  [/its name is not p/, manifest({ name: 'q' })],
  [/its name is not p/, manifest({ name: ['p'] })],
  [/its version is not 1\.0\.0/, manifest({ version: '1.0.1' })],
  [/its version is not 1\.0\.0/, manifest({ version: undefined })],
  [/"1 0" is no version/, manifest({ version: '1 0' }), '1 0'],
  [/"__proto__" is no version/, manifest({ version: '__proto__' }), '__proto__'],
  [/no dist object/, manifest({ dist: undefined })],
  [/no dist object/, manifest({ dist: ['tarball'] })],
  [/no tarball URL/, manifest({ dist: {} })],
  [/no tarball URL/, manifest({ dist: { tarball: '' } })],
  [/no tarball URL/, manifest({ dist: { tarball: { url: 'x' } } })],
  [/there twice/, manifest().replace('{', '{"scripts":{},"scripts":{},')],
  [/there twice/, manifest().replace('"tarball"', '"tarball":"x","tarball"')],
  [/nested too deeply/, manifest().replace('{', `{"x":${'['.repeat(64)}${']'.repeat(64)},`)],
  [/more than 1000 members/, manifest(Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`k${i}`, 1])))],
  [/more than 4194304 bytes/, manifest({ readme: 'x'.repeat(MANIFEST_BYTES_MAX) })],
];

test('refuses what can not be a version of the package', () => {
  for (const [reason, source, version = '1.0.0'] of refused) {
    const isRefusal = (error: unknown) => error instanceof MalformedError && reason.test(error.message);
    assert.throws(() => takeText(source, 'p', version), isRefusal, source.slice(0, 80));
  }
  const bytes = Buffer.from(manifest({ readme: '~' }));
  assert.throws(
    () => takeManifest(bytes.fill(0xff, bytes.indexOf('~'), bytes.indexOf('~') + 1), 'p', '1.0.0'),
    /UTF-8/,
  );
});
