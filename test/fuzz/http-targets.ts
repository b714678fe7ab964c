/** What clients send: request lines, headers, and what operators write about them. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CLIENTS, clientOf } from '../../src/core/clients.ts';
import { chooseDoor, makeDoor, parseBaseUrl, parseDoorFlag, requestHostname } from '../../src/core/door.ts';
import { UsageError } from '../../src/core/errors.ts';
import { negotiateEncoding, planRead, wantsAbbreviated } from '../../src/core/http-semantics.ts';
import { isLoopback, isLoopbackHostname, isPrivate, networkOf, parseCidr, UNKNOWN_NETWORK } from '../../src/core/ip.ts';
import { CHANGES_LIMIT_MAX, parseChangesQuery } from '../../src/core/npm-changes.ts';
import { type NpmRequest, parseNpmRequest, versionFromFile } from '../../src/core/npm-path.ts';
import { isValidName, isValidVersion, namePattern, scopeOf, unscoped } from '../../src/core/package-name.ts';
import { SETTINGS } from '../../src/core/settings.ts';
import { protocolExchanges } from '../support/protocol-exchanges.ts';
import { anyOf, anyText, asUtf8, headersIn, latin1 } from './inputs.ts';
import type { Target } from './target.ts';

/** More than any server lets through: Node.js is told to stop at 32 KiB of headers. */
const HEADER_BYTES = 32_768;
const URL_BYTES = 8_192;

const doors = [makeDoor('redirect', 'https://registry.example'), makeDoor('self', 'http://npm.registry.example:8080')];
const representation = { etag: '"abc"', size: 1_000, allowRange: true };
const urls = [
  ...[
    '/p',
    '/@s/p',
    '/@s%2fp',
    '/p/1.0.0',
    '/p/-/p-1.0.0.tgz',
    '/@s/p/-/@s/p-1.0.0.tgz',
    '/-/package/p/dist-tags/latest',
  ],
  ...protocolExchanges().flatMap(({ method, target }) => (method === 'GET' && !target.includes('…') ? [target] : [])),
];

function readPath(bytes: Uint8Array): void {
  const url = latin1(bytes);
  const request = parseNpmRequest('GET', url);
  if ('name' in request) assertNameable(request);
  if (request.kind === 'federation')
    for (const segment of request.path) assert.doesNotMatch(segment, /^\.{1,2}$|[/\\%\0]/);
  for (const method of ['PUT', 'POST', 'DELETE']) assertChange(method, url);
}

/** However a name was spelled, its plain spelling means the same package. */
function assertNameable(request: NpmRequest & { name: string }): void {
  assert.ok(isValidName(request.name));
  const plain = parseNpmRequest('GET', `/${request.name.split('/').map(encodeURIComponent).join('/')}`);
  assert.equal('name' in plain && plain.name, request.name);
}

function assertChange(method: string, url: string): void {
  try {
    parseNpmRequest(method, url);
  } catch (error) {
    if ((error as { status?: number }).status === undefined) throw error;
  }
}

function readChangesQuery(bytes: Uint8Array): void {
  const { since, limit, heartbeatMs, timeoutMs } = parseChangesQuery(latin1(bytes));
  assert.ok(since === 'now' || (Number.isSafeInteger(since) && since >= 0));
  assert.ok(limit === null || (limit >= 1 && limit <= CHANGES_LIMIT_MAX));
  assert.ok(heartbeatMs === null || heartbeatMs >= 100);
  // Node.js takes a longer time than this for none at all.
  assert.ok((heartbeatMs ?? timeoutMs) < 2 ** 31);
}

function readConditions(bytes: Uint8Array): void {
  const headers = headersIn(bytes);
  for (const size of [null, 0, 1_000]) {
    for (const method of ['GET', 'HEAD']) {
      const { status, range, body } = planRead(method, headers, { ...representation, size });
      assert.equal(range !== null, status === 206);
      assert.ok(range === null || (range.start >= 0 && range.start < range.end && range.end <= (size ?? 0)));
      assert.ok(method === 'GET' || !body);
    }
  }
}

function readAddress(bytes: Uint8Array): void {
  const address = latin1(bytes);
  const network = networkOf(address);
  assert.ok(isLoopbackHostname(address) || !isLoopback(address) || address.includes('['));
  assert.ok(!isLoopback(address) || isPrivate(address));
  if (network !== UNKNOWN_NETWORK) parseCidr(network);
}

function readSetting(bytes: Uint8Array): void {
  const given = anyText(bytes);
  for (const { read, flag } of Object.values(SETTINGS).flat()) {
    try {
      read(given);
    } catch (error) {
      // Anything else would be shown with a stack, as a fault of this program.
      if (!(error instanceof UsageError)) throw new Error(`${flag} threw something else`, { cause: error });
    }
  }
}

function readNames(bytes: Uint8Array): void {
  const name = anyText(bytes);
  if (!isValidName(name)) return;
  assert.ok(!name.includes('..') || !name.split('/').includes('..'));
  assert.equal(scopeOf(name) === null ? unscoped(name) : `${scopeOf(name)}/${unscoped(name)}`, name);
  assert.equal(versionFromFile(name, `${unscoped(name)}-1.0.0.tgz`), '1.0.0');
}

export const HTTP_TARGETS: readonly Target[] = [
  {
    name: 'npm-path',
    valid: anyOf(...urls),
    read: readPath,
    tokens: [
      '/-/',
      '-rev',
      '@',
      '%40',
      '%2F',
      '%5c',
      '%c0%ae',
      '%ed%a0%80',
      '/federation/',
      '/dist-tags',
      'http://a',
      '?write=true',
    ],
    bytesMax: URL_BYTES,
  },
  {
    name: 'changes-query',
    valid: anyOf(
      'since=12&limit=100',
      'since=now&feed=longpoll&timeout=1000&include_docs=true',
      'feed=continuous&heartbeat=30000&style=main_only',
      'descending=true&limit=1',
    ),
    read: readChangesQuery,
    tokens: ['since=', 'now', '9'.repeat(16), '&limit=0', 'feed=', 'heartbeat=true', '%31', '+1', '&since=2'],
    bytesMax: URL_BYTES,
  },
  {
    name: 'accept',
    valid: anyOf(
      'application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*',
      '*/*',
      'text/html;a="b,c"',
    ),
    read: (bytes) => void wantsAbbreviated(latin1(bytes)),
    tokens: ['application/vnd.npm.install-v1+json', ';q=', 'q=0.001', '*/*', '"a,b"'],
    bytesMax: HEADER_BYTES,
  },
  {
    name: 'accept-encoding',
    valid: anyOf('gzip, deflate, br', 'gzip;q=0.5, *;q=0', 'identity', 'x-gzip'),
    read: (bytes) => {
      const coding = negotiateEncoding(latin1(bytes), ['zstd', 'br', 'gzip']);
      assert.ok(coding === null || ['identity', 'zstd', 'br', 'gzip'].includes(coding));
    },
    tokens: ['gzip', 'br', 'zstd', 'identity;q=0', '*;q=0', ';q=', '"'],
    bytesMax: HEADER_BYTES,
  },
  {
    name: 'conditions',
    valid: anyOf(
      'range: bytes=0-99\nif-range: "abc"',
      'range: bytes=-5',
      'range: bytes=5-',
      'if-none-match: W/"a", "abc"',
      'if-match: "b","abc"\nrange: bytes=1-2,5-',
    ),
    read: readConditions,
    tokens: ['bytes=', 'W/', '"a"', '"', '9'.repeat(20), '-', '\nif-match: ', '\nrange: bytes='],
    bytesMax: HEADER_BYTES,
  },
  {
    name: 'host-header',
    valid: anyOf('registry.example', 'npm.registry.example:8080', 'localhost:4873', '[::1]:4873'),
    read: (bytes) => {
      const door = chooseDoor(latin1(bytes), doors, 4873);
      assert.ok(doors.includes(door) || /^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\]):4873$/.test(door.url));
      void requestHostname(latin1(bytes));
    },
    tokens: [':443', ':80', ':4873', '[::1]', '@registry.example'],
    bytesMax: HEADER_BYTES,
  },
  {
    name: 'user-agent',
    valid: anyOf(
      'npm/11.0.0 node/v26.0.0 linux x64 workspaces/false',
      'pnpm/10.0.0 npm/? node/v26',
      'got (https://a)',
      'Bun/1.3',
    ),
    read: (bytes) => assert.ok(CLIENTS.includes(clientOf(latin1(bytes)))),
    tokens: ['npm/', 'yarn/1.', 'pnpm/'],
    bytesMax: HEADER_BYTES,
  },
  {
    name: 'address',
    valid: asUtf8(
      fc.oneof(
        fc.ipV4(),
        fc.ipV6(),
        fc.ipV4().map((address) => `::ffff:${address}`),
        fc.constant('fe80::1%eth0'),
      ),
    ),
    read: readAddress,
    tokens: ['::', ':', '.', '%eth0', '%', '::ffff:', '64:ff9b::', '0x7f', '/8'],
    bytesMax: HEADER_BYTES,
  },
  {
    name: 'cidr',
    valid: anyOf('10.0.0.0/8', '2001:db8::/32', '192.0.2.1', '::1', '0.0.0.0/0', '::/0'),
    read: (bytes) => {
      const cidr = parseCidr(latin1(bytes));
      assert.deepEqual(parseCidr(`${cidr.base}/${cidr.bits}`), cidr);
    },
    tokens: ['/0', '/33', '/129', '/08', '::ffff:', '%eth0', '%1/64'],
  },
  {
    name: 'door',
    valid: anyOf('redirect=https://registry.example', 'self=http://127.0.0.1:4873', 'canonical=https://a.example:8443'),
    read: (bytes) => {
      const door = parseDoorFlag(anyText(bytes));
      assert.deepEqual(parseDoorFlag(`${door.rule}=${door.url}`), door);
      assert.equal(parseBaseUrl(door.url), door.url);
    },
    tokens: ['redirect=', 'https://', '@', '#', '?', '/..', 'xn--', 'é'],
  },
  {
    name: 'setting',
    valid: anyOf(
      '8080',
      'true',
      'info',
      '10.0.0.0/8',
      '@scope/*',
      'https://registry.example',
      'redirect=https://a.example',
      'npm-6',
    ),
    read: readSetting,
    tokens: ['http://', '%eth0', '::', '/64', '*', 'redirect=', '1e3', '+1', ' '],
  },
  {
    name: 'name-pattern',
    valid: anyOf('@scope/*', 'lodash.*', '*', 'express', '@a*/b*c'),
    read: (bytes) => {
      const matches = namePattern(anyText(bytes));
      for (const name of ['express', '@scope/name', 'a'.repeat(214), `${'a'.repeat(100)}b`]) matches(name);
    },
    tokens: ['*a', '**', '.', '(', '+', '@s/'],
  },
  {
    name: 'package-name',
    valid: anyOf('express', '@scope/name', "Old~name!'()*", 'constructor', '_x', '@_/_'),
    read: readNames,
    tokens: ['@', '/', 'node_modules', 'favicon.ico', '.'],
  },
  {
    name: 'version',
    valid: anyOf('1.0.0', '1.0.0-beta.1+build', '1.0.0beta', '0.0.0-0'),
    read: (bytes) => {
      const version = anyText(bytes);
      if (isValidVersion(version)) assert.equal(encodeURIComponent(version).replaceAll('%2B', '+'), version);
    },
    tokens: ['1.', '-', '+', 'v', '=', '.0', '9'.repeat(17)],
  },
];
