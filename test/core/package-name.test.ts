import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UsageError } from '../../src/core/errors.ts';
import { isValidName, isValidVersion, namePattern, scopeOf, unscoped } from '../../src/core/package-name.ts';

const validNames = [
  'express',
  'a',
  '@types/node',
  '@s/p',
  'JSONStream',
  'lodash.merge',
  'socket.io',
  'under_score',
  'constructor',
  'toString',
  'hasOwnProperty',
  'http',
  'a~b',
  "it's",
  'wow!',
  '@s/_p',
  '@s/-',
  '@a.b/c',
  '123',
  'x'.repeat(214),
  `@s/${'x'.repeat(211)}`,
];

const invalidNames = [
  '',
  ' ',
  ' a',
  'a ',
  'a b',
  '.',
  '..',
  '.hidden',
  '_private',
  '__proto__',
  '-',
  '-g',
  'node_modules',
  'favicon.ico',
  'NODE_MODULES',
  '@',
  '@s',
  '@s/',
  '@/p',
  '@s/p/q',
  '@s//p',
  '@../p',
  '@./p',
  '@.s/p',
  '@s/..',
  '@s/.p',
  'a/b',
  'a\\b',
  'a%2fb',
  'a\u0000',
  'a\nb',
  'a\u007f',
  'naïve',
  'a\ud800b',
  'a?b',
  'a#b',
  'x'.repeat(215),
];

for (const name of validNames) {
  test(`${name} is a name`, () => assert.equal(isValidName(name), true));
}

for (const name of invalidNames) {
  test(`${JSON.stringify(name)} is not a name`, () => assert.equal(isValidName(name), false));
}

test('a valid name is safe in a path, a line and a header', () => {
  const nearlyName = fc.string({ unit: fc.constantFrom(...'@@//..--_aZ9~!%\\ \n\u0000é'), maxLength: 9 });
  fc.assert(
    fc.property(nearlyName, (text) => {
      if (!isValidName(text)) return;
      assert.match(text, /^(?:@[A-Za-z0-9_.!~*'()-]+\/)?[A-Za-z0-9_.!~*'()-]+$/);
      assert.ok(!text.split('/').some((part) => part === '' || part === '.' || part === '..'));
    }),
  );
});

test('versions are semver, strict or loose', () => {
  for (const version of [
    '1.0.0',
    '0.0.0',
    '1.2.3-rc.1',
    '1.0.0+build.5',
    '1.0.0-a+b',
    '1.0.0beta',
    '1.0.0-01',
    'v1.0.0',
  ]) {
    assert.equal(isValidVersion(version), true, version);
  }
  const wrong = [
    '',
    '1',
    '1.0',
    'latest',
    '__proto__',
    '1.0.0 ',
    ' 1.0.0',
    '=1.0.0',
    '1.0.0/..',
    '1.0.0\n',
    '1.0.0-a_b',
    '^1.0.0',
  ];
  for (const version of [...wrong, `1.0.0-${'a'.repeat(251)}`, '1.0.99999999999999999999']) {
    assert.equal(isValidVersion(version), false, JSON.stringify(version));
  }
});

test('a name comes apart into scope and the rest', () => {
  assert.equal(unscoped('@s/p'), 'p');
  assert.equal(unscoped('p'), 'p');
  assert.equal(scopeOf('@s/p'), '@s');
  assert.equal(scopeOf('p'), null);
});

test('patterns match whole names, and a star stays within its half', () => {
  const scope = namePattern('@scope/*');
  assert.equal(scope('@scope/a'), true);
  assert.equal(scope('@scope2/a'), false);
  assert.equal(scope('scope'), false);
  assert.equal(namePattern('lodash.*')('lodash.merge'), true);
  assert.equal(namePattern('lodash.*')('lodashXmerge'), false);
  assert.equal(namePattern('a*')('@a/a'), false);
  assert.equal(namePattern('*')('@a/a'), true);
  assert.equal(namePattern('express')('express'), true);
  assert.equal(namePattern('express')('express-session'), false);
});

test('a pattern with many stars is matched as quickly as any', () => {
  const many = namePattern(`${'*a'.repeat(20)}*b`);
  assert.equal(many(`${'a'.repeat(200)}b`), true);
  assert.equal(many(`${'a'.repeat(200)}c`), false);
});

test('property: a pattern matches as a regular expression would', () => {
  const few = fc.string({ unit: fc.constantFrom(...'ab*'), minLength: 1, maxLength: 6 });
  const text = fc.string({ unit: fc.constantFrom(...'ab'), minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(few, text, fc.boolean(), (pattern, name, scoped) => {
      const [wanted, given] = scoped ? [`@${pattern}/${pattern}`, `@${name}/${name}`] : [pattern, name];
      const expected = new RegExp(`^${wanted.replaceAll('*', '[^/]*')}$`).test(given);
      assert.equal(namePattern(wanted)(given), expected || wanted === '*');
    }),
    { numRuns: 1_000 },
  );
});

test('a pattern that no name matches is refused with what to write', () => {
  for (const pattern of ['', '@scope', '@scope/', '../*', 'a b', '@*/*/*']) {
    assert.throws(() => namePattern(pattern), UsageError, pattern);
  }
});
