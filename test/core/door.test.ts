import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { utf8 } from '../../src/core/bytes.ts';
import { clientOf } from '../../src/core/clients.ts';
import {
  checkCanonicalDoors,
  chooseDoor,
  hostnameOf,
  makeDoor,
  parseBaseUrl,
  parseDoorFlag,
  requestHostname,
  tarballBase,
} from '../../src/core/door.ts';
import { UsageError } from '../../src/core/errors.ts';
import { sha256Hex } from '../../src/core/hash.ts';

test('a door has a rule, a URL and the beginning of its hash as id', () => {
  const door = parseDoorFlag('redirect=https://Registry.Example:443/');
  assert.deepEqual(door, {
    id: sha256Hex(utf8('https://registry.example')).slice(0, 8),
    rule: 'redirect',
    url: 'https://registry.example',
  });
  assert.equal(parseDoorFlag('self=http://[::1]:4873').url, 'http://[::1]:4873');
});

const wrongFlags = [
  '',
  'https://registry.example',
  'public=https://registry.example',
  'constructor=https://registry.example',
  '=https://registry.example',
  'self',
  'self=',
  'self=registry.example',
  'self=ftp://registry.example',
  'self=https://registry.example/npm',
  'self=https://registry.example/?',
  'self=https://registry.example/#',
  'self=https://registry.example?a=b',
  'self=https://user:secret@registry.example',
  'self=https://registry.example\\npm',
];

for (const flag of wrongFlags) {
  test(`${JSON.stringify(flag)} is no door`, () => assert.throws(() => parseDoorFlag(flag), UsageError));
}

test('base URLs have one spelling', () => {
  assert.equal(parseBaseUrl('HTTP://Registry.EXAMPLE:80'), 'http://registry.example');
  assert.equal(parseBaseUrl('https://registry.example:8443/'), 'https://registry.example:8443');
  assert.throws(() => parseBaseUrl('https://registry.example/a'), /write https:\/\/registry\.example/);
});

const configured = [
  makeDoor('redirect', 'https://federated.example'),
  makeDoor('self', 'https://npm.example'),
  makeDoor('redirect', 'http://intranet.example:4873'),
];

const chosen: [string | undefined, string, string][] = [
  ['federated.example', 'https://federated.example', 'redirect'],
  ['federated.example:443', 'https://federated.example', 'redirect'],
  ['npm.example:443', 'https://npm.example', 'self'],
  ['NPM.Example', 'https://npm.example', 'self'],
  ['intranet.example:4873', 'http://intranet.example:4873', 'redirect'],
  ['localhost:4873', 'http://localhost:4873', 'redirect'],
  ['LOCALHOST:4873', 'http://localhost:4873', 'redirect'],
  ['127.0.0.1:4873', 'http://127.0.0.1:4873', 'redirect'],
  ['[::1]:4873', 'http://[::1]:4873', 'redirect'],
  // Everything else gets the default door.
  [undefined, 'https://federated.example', 'redirect'],
  ['', 'https://federated.example', 'redirect'],
  ['evil.example', 'https://federated.example', 'redirect'],
  ['npm.example:80', 'https://federated.example', 'redirect'],
  ['npm.example.evil.example', 'https://federated.example', 'redirect'],
  ['npm.example@evil.example', 'https://federated.example', 'redirect'],
  ['intranet.example', 'https://federated.example', 'redirect'],
  ['localhost', 'https://federated.example', 'redirect'],
  ['localhost:4874', 'https://federated.example', 'redirect'],
  ['127.0.0.2:4873', 'https://federated.example', 'redirect'],
];

for (const [host, url, rule] of chosen) {
  test(`Host ${host} comes through ${url}`, () => {
    const door = chooseDoor(host, configured, 4873);
    assert.equal(door.url, url);
    assert.equal(door.rule, rule);
  });
}

test('without configured doors, strangers get localhost', () => {
  assert.equal(chooseDoor('evil.example', [], 4873).url, 'http://localhost:4873');
  assert.deepEqual(chooseDoor(undefined, [], 4873), chooseDoor('localhost:4873', [], 4873));
  assert.equal(chooseDoor('localhost', [], 80).url, 'http://localhost');
  assert.equal(chooseDoor('localhost:80', [], 80).url, 'http://localhost');
  assert.equal(chooseDoor('evil.example', [], 80).url, 'http://localhost');
});

test('a Host header never gets into a door', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (host) => {
      const known = ['http://localhost:1', 'http://127.0.0.1:1', 'http://[::1]:1', ...configured.map(({ url }) => url)];
      assert.ok(known.includes(chooseDoor(host, configured, 1).url));
    }),
  );
});

test('hostnames come without ports, in one spelling', () => {
  assert.equal(hostnameOf('https://Registry.example:8443'), 'registry.example');
  assert.equal(hostnameOf('http://[::1]:4873'), '[::1]');
  assert.equal(requestHostname('Registry.Example:8443'), 'registry.example');
  assert.equal(requestHostname('127.0.0.1:4873'), '127.0.0.1');
  assert.equal(requestHostname('[::1]:4873'), '[::1]');
  for (const host of [undefined, '', ':', 'a b', '[', 'a:99999']) assert.equal(requestHostname(host), '');
});

const PUBLIC = 'https://public.example';
const canonical = parseDoorFlag('canonical=https://registry.example');
const [npm12, npm6, pnpm] = ['npm/12.2.0 node/v26', 'npm/6.14.18 node/v14', 'pnpm/10.0.0 npm/? node/v24'].map(clientOf);

test('at a canonical door only clients that swap the public host by themselves get it', () => {
  assert.ok(npm12 && npm6 && pnpm);
  assert.equal(tarballBase(canonical, npm12, PUBLIC), PUBLIC);
  for (const client of [npm6, pnpm, clientOf(undefined)]) {
    assert.equal(tarballBase(canonical, client, PUBLIC), canonical.url);
  }
  assert.equal(tarballBase(makeDoor('redirect', canonical.url), npm12, PUBLIC), canonical.url);
});

test('a canonical door is for the public registry alone', () => {
  checkCanonicalDoors([canonical], PUBLIC, PUBLIC);
  checkCanonicalDoors([makeDoor('redirect', canonical.url)], 'https://other.example', PUBLIC);
  for (const known of [PUBLIC, null]) {
    assert.throws(
      () => checkCanonicalDoors([makeDoor('self', PUBLIC), canonical], 'https://other.example', known),
      (error: unknown) => error instanceof UsageError && /can't be canonical: the upstream is/.test(error.message),
    );
  }
});
