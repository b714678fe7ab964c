import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { FederationError, MalformedError, UsageError } from '../../src/core/errors.ts';
import { readLockfile } from '../../src/core/lockfile.ts';
import { reportOf, verdictsOf } from '../../src/core/lockfile-check.ts';
import { applyEdits, planRewrite, type Target } from '../../src/core/lockfile-rewrite.ts';
import { mutated } from '../support/arbitrary.ts';

// The vectors were written by the clients that they are named after, at a registry on loopback, for a project with a plain, a scoped and
// an aliased package, one with a dependency, and others from a file, a folder, a URL, a registry's URL and (where the client
// could) a repository. Only hosts were replaced. For pnpm and yarn 4 tarballs were on another host than packuments; the
// portable ones were written where they were not, and by npm with its omit-lockfile-registry-resolved.
const folder = new URL('../vectors/lockfiles/', import.meta.url);
const vector = (name: string): string => readFileSync(new URL(name, folder), 'utf8');
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

const isPortable = (name: string): boolean => name.includes('.portable.');
const withUrls = readdirSync(folder).filter((name) => !isPortable(name));
const homeOf = (name: string): string =>
  /pnpm|yarn-4/.test(name) ? 'https://mirror.example' : 'https://registry.example';

function rewritten(text: string, target: Target, from: readonly string[] = []): string {
  const bytes = bytesOf(text);
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(
    applyEdits(bytes, planRewrite(readLockfile(bytes), target, from).edits),
  );
}

const door = { to: 'https://door.example' };

/** What a rewrite must give, found without reading the format: the package asked for by URL keeps it. */
function expected(name: string, text: string): string {
  const encoded = (url: string): string => (name.startsWith('yarn-4') ? encodeURIComponent(url) : url);
  const moved = text.replaceAll(encoded(`${homeOf(name)}/`), encoded('https://door.example/'));
  return moved
    .replaceAll('https://door.example/path-key/-/', (found, at) => (isOwnPathKey(name, moved, at) ? found : asked))
    .replaceAll('registry: https://registry.example/', 'registry: https://door.example/');
}
const asked = 'https://registry.example/path-key/-/';
/** pnpm knows by the URL that the package is the registry's own. */
const isOwnPathKey = (name: string, text: string, at: number): boolean =>
  name.startsWith('pnpm') && /tarball: $/.test(text.slice(0, at));

for (const name of withUrls) {
  test(`${name} moves to a door and back, byte for byte`, () => {
    const text = vector(name);
    const there = rewritten(text, door);
    assert.equal(there, expected(name, text));
    assert.equal(rewritten(there, door), there);
    const hasOneHome = !text.includes('registry: ');
    if (hasOneHome) assert.equal(rewritten(there, { to: homeOf(name) }), text);
  });

  test(`${name} keeps its line ends, byte order mark and missing last line end`, () => {
    const odd = `\uFEFF${vector(name).trimEnd().replaceAll('\n', '\r\n')}`;
    const there = rewritten(odd, door);
    assert.equal(there, `\uFEFF${expected(name, vector(name)).trimEnd().replaceAll('\n', '\r\n')}`);
    const edits = planRewrite(readLockfile(bytesOf(odd)), door).edits.length;
    assert.equal(edits, planRewrite(readLockfile(bytesOf(vector(name))), door).edits.length);
  });
}

for (const name of readdirSync(folder).filter(isPortable)) {
  test(`${name.replace('.portable', '')} becomes portable as its client writes it`, () => {
    assert.equal(rewritten(vector(name.replace('.portable', '')), 'portable'), vector(name));
    assert.equal(rewritten(vector(name), 'portable'), vector(name));
  });
}

test('portable: npm 6 reads version 1 and the second half of version 2, where every URL goes, too', () => {
  for (const name of ['npm-1.json', 'npm-2.json']) {
    const before = JSON.parse(vector(name));
    const after = JSON.parse(rewritten(vector(name), 'portable'));
    const removed = ['ms', '@tootallnate/once', 'pad', 'is-odd', 'is-number'];
    for (const key of removed) delete before.dependencies[key].resolved;
    assert.deepEqual(after.dependencies, before.dependencies);
  }
});

test('portable: bun takes an empty URL for that of the configured registry', () => {
  const text = rewritten(vector('bun.lock'), 'portable');
  assert.equal(text, vector('bun.lock').replaceAll(/"https:\/\/registry\.example\/[^"]*\.tgz", \{/g, '"", {'));
  const { packages, named } = reportOf(readLockfile(bytesOf(text)));
  assert.deepEqual([packages, named], [5, 0]);
});

test('portable: pnpm drops the registry beside the tarball, and yarn 1 has no such form', () => {
  const flow = /, registry: https:\/\/registry\.example\/, tarball: https:\/\/mirror\.example\/[^}]*/g;
  const block = /^ {6}(?:registry: https:\/\/registry|tarball: https:\/\/mirror)\.example\/.*\n/gm;
  assert.equal(rewritten(vector('pnpm-7.yaml'), 'portable'), vector('pnpm-7.yaml').replaceAll(flow, ''));
  assert.equal(rewritten(vector('pnpm-5.yaml'), 'portable'), vector('pnpm-5.yaml').replaceAll(block, ''));
  assert.throws(() => planRewrite(readLockfile(bytesOf(vector('yarn-1.lock'))), 'portable'), UsageError);
});

test('a member goes with its comma wherever it stands', () => {
  const url = 'https://registry.example/ms/-/ms-2.0.0.tgz';
  const file = (entry: string): string =>
    `{"lockfileVersion": 3, "packages": {"node_modules/ms": ${entry}, "node_modules/x": {"version": "1.0.0"}}}`;
  const cases = [
    [`{"resolved": "${url}", "version": "2.0.0"}`, '{"version": "2.0.0"}'],
    [`{"version": "2.0.0" , "resolved": "${url}"}`, '{"version": "2.0.0"}'],
    [`{"version": "2.0.0", "resolved" : "${url}" , "dev": true}`, '{"version": "2.0.0" , "dev": true}'],
  ];
  for (const [before = '', after = ''] of cases) assert.equal(rewritten(file(before), 'portable'), file(after));
  const pnpm = (resolution: string): string =>
    `lockfileVersion: '9.0'\n\npackages:\n\n  ms@2.0.0:\n    resolution: ${resolution}\n`;
  assert.equal(rewritten(pnpm(`{tarball: '${url}', integrity: sha512-a}`), 'portable'), pnpm('{integrity: sha512-a}'));
  const shared = pnpm(`{registry: https://registry.example/, tarball: ${url}, integrity: sha512-a}`);
  assert.equal(rewritten(shared, 'portable'), shared);
  assert.equal(rewritten(pnpm(`{tarball: ${url}}`), 'portable'), pnpm(`{tarball: ${url}}`));
  const yarn = (binding: string): string =>
    `__metadata:\n  version: 8\n\n"ms@npm:2.0.0":\n  resolution: "ms@npm:2.0.0${binding}"\n`;
  const archive = `__archiveUrl=${encodeURIComponent(url)}`;
  assert.equal(rewritten(yarn(`::${archive}&a=b`), 'portable'), yarn('::a=b'));
  assert.equal(rewritten(yarn(`::a=b&${archive}`), 'portable'), yarn('::a=b'));
});

test('a report says what is from where, and what has no hash', () => {
  for (const name of withUrls) {
    const report = reportOf(readLockfile(bytesOf(vector(name))));
    assert.equal(report.hosts[0]?.host, new URL(homeOf(name)).host, name);
    assert.deepEqual([report.unhashed, report.weak, report.mismatched], [[], [], []], name);
    assert.ok(
      report.elsewhere.some(({ source, url }) => source === 'remote' && url?.includes('files.example')),
      name,
    );
    assert.ok(
      report.elsewhere.some(({ name: package_ }) => /packed/.test(package_)),
      name,
    );
  }
  const bare = vector('yarn-1.lock').replaceAll(/^ {2}integrity .*\n/gm, '');
  assert.equal(reportOf(readLockfile(bytesOf(bare))).weak.length, 5);
  const unhashed = vector('npm-3.json').replaceAll(/,\n *"integrity": "[^"]*"/g, '');
  assert.equal(reportOf(readLockfile(bytesOf(unhashed))).unhashed.length, 5);
});

test('pnpm: long keys have a question mark before them, and other documents may come first', () => {
  const entry = '  : resolution: {integrity: sha512-a, tarball: https://registry.example/ms/-/ms-2.0.0.tgz}\n';
  const file = `---\nlockfileVersion: '9.0'\npackages:\n\n  pnpm@12.0.0: {}\n---\nlockfileVersion: '9.0'\npackages:\n\n  ? ms@2.0.0\n${entry}`;
  assert.equal(rewritten(file, door), file.replace('registry.example', 'door.example'));
  assert.equal(reportOf(readLockfile(bytesOf(file))).packages, 2);
});

test('verdicts: who asks the registry for everything', () => {
  const works = (name: string, registry: string, replaced: string | null = null): boolean[] =>
    verdictsOf(readLockfile(bytesOf(vector(name))), registry, replaced).map((verdict) => verdict.works);
  assert.deepEqual(works('npm-1.json', 'https://registry.example'), [true, true, true]);
  assert.deepEqual(works('npm-3.json', 'https://door.example'), [false, false]);
  assert.deepEqual(works('npm-3.json', 'https://door.example', 'https://registry.example/'), [true, true]);
  assert.deepEqual(works('npm-3.portable.json', 'https://door.example'), [true, true]);
  assert.deepEqual(works('npm-3.json', 'https://registry.example/npm'), [false, false]);
  for (const name of ['pnpm-12', 'yarn-4'].map((client) => [client, client === 'yarn-4' ? 'lock' : 'yaml'])) {
    assert.deepEqual(works(name.join('.'), 'https://door.example'), [false]);
    assert.deepEqual(works(name.join('.portable.'), 'https://door.example'), [true]);
  }
  assert.deepEqual(works('bun.lock', 'https://door.example'), [false]);
  assert.deepEqual(works('yarn-1.lock', 'https://registry.example'), [true]);
});

test('a URL of another package or version stays, and fails every verdict', () => {
  for (const wrong of [
    'https://registry.example/evil/-/evil-2.0.0.tgz',
    'https://registry.example/ms/-/ms-2.0.1.tgz',
  ]) {
    const text = vector('npm-3.json').replace('https://registry.example/ms/-/ms-2.0.0.tgz', wrong);
    const lockfile = readLockfile(bytesOf(text));
    assert.deepEqual(planRewrite(lockfile, door).kept.filter(({ because }) => because === 'mismatch').length, 1);
    assert.ok(rewritten(text, door).includes(wrong));
    assert.ok(rewritten(text, 'portable').includes(wrong));
    assert.equal(reportOf(lockfile).mismatched[0]?.url, wrong);
    assert.ok(
      verdictsOf(lockfile, 'https://registry.example', 'https://registry.example').every(({ works }) => works) ===
        false,
    );
  }
});

test('--from leaves other registries alone, and takes theirs with a path', () => {
  const text = vector('bun.lock').replace('https://registry.example/ms/', 'https://other.example/npm/ms/');
  assert.equal(
    rewritten(text, door, ['https://other.example/npm']),
    text.replace('https://other.example/npm', door.to),
  );
  assert.equal(rewritten(text, door, ['https://other.example']), text);
});

test('what is no lockfile that can be read says so', () => {
  const refused: [text: string, error: typeof UsageError | typeof MalformedError, message: RegExp][] = [
    ['', MalformedError, /none of package-lock/],
    ['{}', MalformedError, /no lockfileVersion/],
    ['{"lockfileVersion": 4}', MalformedError, /npm lockfile version 4 is not known/],
    ['{"lockfileVersion": 3, "packages": []}', MalformedError, /packages is not an object/],
    ['{"lockfileVersion": 9, "workspaces": {}}', MalformedError, /bun lockfile version 9/],
    ["lockfileVersion: '10.0'\n", MalformedError, /pnpm lockfile version 10\.0/],
    ['__metadata:\n  version: 99\n', MalformedError, /version 99/],
    ['__metadata:\n', MalformedError, /version of this file/],
    ['{"version": "5", "specifiers": {}}', UsageError, /deno/],
    ['#!/usr/bin/env bun\nbun-lockfile-format-v0\n\0', UsageError, /--save-text-lockfile/],
    [vector('pnpm-12.yaml').replace('packages:', '<<<<<<< HEAD\npackages:'), UsageError, /merge conflict/],
    [
      '# yarn lockfile v1\n\nms@2.0.0:\n  resolved "https://registry.example/ms/-/ms-2',
      MalformedError,
      /line 4: a field is cut off/,
    ],
    ['# yarn lockfile v1\n\nms@2.0.0:\n', MalformedError, /line 3: an entry has no version/],
    ["lockfileVersion: '9.0'\npackages:\n  ms@2.0.0:\n    resolution: {integrity: sha5", MalformedError, /cut off/],
    [
      "lockfileVersion: '9.0'\npackages:\n  ms@2.0.0:\n    resolution: {integrity: a, integrity: b}\n",
      MalformedError,
      /line 4: an entry has integrity twice/,
    ],
    ['__metadata:\n  version: 8\n\n"a@npm:1":\n  resolution: "a@npm:1.0', MalformedError, /cut off/],
  ];
  for (const [text, error, message] of refused) {
    assert.throws(
      () => readLockfile(bytesOf(text)),
      (thrown: Error) => thrown instanceof error && message.test(thrown.message),
      text.slice(0, 80),
    );
  }
  const halves = ['npm-1.json', 'npm-2.json', 'npm-3.json', 'bun.lock'].map((name) => vector(name).slice(0, 1500));
  for (const half of halves) assert.throws(() => readLockfile(bytesOf(half)), MalformedError);
});

test('deep nesting and long runs end in an error or an answer, not in a crash', () => {
  const hostile = [
    '['.repeat(1e6),
    `{"lockfileVersion": 3, "workspaces": ${'['.repeat(1e6)}`,
    `{"lockfileVersion":1,"dependencies":${'{"a":{"dependencies":'.repeat(1e4)}`,
    `{/*${'*'.repeat(1e6)}`,
    `${' '.repeat(1e6)}{`,
    `# yarn lockfile v1\n${'a'.repeat(1e6)}`,
    `lockfileVersion: '9.0'\npackages:\n  ${'a@'.repeat(3e5)}:\n    resolution: {${'a: b, '.repeat(1e5)}}\n`,
    `__metadata:\n${'  a: b\n'.repeat(1e5)}`,
    `lockfileVersion: '9.0'\npackages:\n  a@1.0.0:\n    resolution: {integrity: a${' '.repeat(1e6)}b}\n`,
  ];
  for (const text of hostile) {
    try {
      readLockfile(bytesOf(text));
    } catch (error) {
      assert.ok(error instanceof FederationError, String(error));
    }
  }
});

test('property: any damage gives an error of ours, or a rewrite that changes nothing but the edits it names', () => {
  const damaged = fc.constantFrom(...readdirSync(folder)).chain((name) => mutated(bytesOf(vector(name))));
  const target = fc.constantFrom<Target>(door, 'portable');
  fc.assert(
    fc.property(damaged, target, (bytes, to) => {
      const planned = plannedOrNull(bytes, to);
      if (planned === null) return;
      let at = 0;
      for (const { start, end } of planned) {
        assert.ok(start >= at && end >= start && end <= bytes.length);
        at = end;
      }
      const again = plannedOrNull(applyEdits(bytes, planned), to);
      assert.deepEqual(again, []);
    }),
    { numRuns: 500 },
  );
});

function plannedOrNull(bytes: Uint8Array, target: Target) {
  try {
    return planRewrite(readLockfile(bytes), target).edits;
  } catch (error) {
    assert.ok(error instanceof FederationError, String(error));
    return null;
  }
}
