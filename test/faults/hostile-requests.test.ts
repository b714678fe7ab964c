import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { ask, sendRaw } from '../support/ask.ts';
import { lifetime } from '../support/lifetime.ts';
import { assertSound } from '../support/stored.ts';
import { startHost, startWholeOrigin, type WholeOrigin } from '../support/whole-origin.ts';

const life = lifetime();
const MIB = 1024 * 1024;
const BULK = '/-/npm/v1/security/advisories/bulk';
let origin: WholeOrigin;
/** Base URLs of an origin and of a mirror: whatever is hostile to one is sent to the other as well. */
let servers: string[];

before(async () => {
  origin = await startWholeOrigin(life, { times: { probeIntervalMs: 3_600_000 } });
  origin.put('plain');
  for (const path of ['/plain', '/plain/-/plain-1.0.0.tgz']) await origin.ask(path);
  servers = [origin.door, (await startHost(life, origin)).url];
});

/** Lengthy ones are cut for the test's name. */
const named = (text: string) => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}… (${text.length})` : text);

describe('names and paths that npm would refuse', () => {
  const paths = [
    ...['/..', '/../../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/plain/../../x', '/./plain', '/plain/./1.0.0'],
    ...['/plain%2f..%2f..%2fetc', '/@scope%2f..%2f..', '/@../name', '/@%2e%2e%2fname', '/@scope%2f%2e%2e'],
    ...[
      '/plain/-/../../x.tgz',
      '/plain/-/..%2f..%2fx.tgz',
      '/plain/-/%2e%2e',
      '/plain/-/.tgz',
      '/plain/-/plain-1.0.0.tgz/..',
    ],
    ...[
      '/plain/-/plain-../../1.0.0.tgz',
      '/plain/-/plain-1.0.0%00.tgz',
      '/plain/-/c:%5cx.tgz',
      '/plain/-/%2fetc%2fx.tgz',
    ],
    ...['//plain', '/plain//1.0.0', '///', '/plain%5c..%5cx', '/plain\\x', '/%252e%252e', '/plain%252f..', '/;/plain'],
    ...['/%00', '/plain%00', '/plain%0d%0aset-cookie:%20a=b', '/pl%0aain', '/pl%e2%80%aeain', '/pl%e2%80%a8ain'],
    ...['/%', '/%2', '/%zz', '/%ff', '/%c0%ae%c0%ae', '/%ed%a0%80', '/%f0%28%8c%bc'],
    ...[
      '/.hidden',
      '/_private',
      '/node_modules',
      '/NODE_MODULES',
      '/favicon.ico%20',
      '/a%20b',
      '/é',
      '/%C3%A9',
      '/a%3fb',
      '/a%23b',
    ],
    ...[`/${'a'.repeat(215)}`, `/@${'s'.repeat(200)}/${'n'.repeat(200)}`, `/plain/-/plain-${'1'.repeat(600)}.tgz`],
    ...[
      '/__proto__',
      '/__proto__/__proto__',
      '/plain/__proto__',
      '/-/__proto__',
      '/-/constructor',
      '/-/package/__proto__/dist-tags',
    ],
    ...[
      '/-/federation/__proto__',
      '/-/federation/constructor',
      '/-/federation/hasOwnProperty',
      '/-/federation/toString/x',
    ],
    ...[
      '/-/federation/blob/__proto__/x',
      '/-/federation/blob/sha512/..%2f..%2fx',
      '/-/federation/blob/sha512/../../format.json',
    ],
    ...[
      '/-/federation/head/__proto__',
      `/-/federation/head/${'g'.repeat(64)}`,
      '/-/federation/blob/sha1/00',
      '/-/federation/route/../x',
    ],
    ...[
      '/-/npm/v1/attestations/..%2fx@1.0.0',
      '/-/npm/v1/attestations/plain',
      '/-/npm/v1/attestations/plain@..',
      '/-/v1/search/..',
    ],
    ...[
      '/-/user/org.couchdb.user:..%2f',
      '/-/all',
      '/-/../plain',
      '/-',
      '/-/',
      '/@scope',
      '/@',
      '/@/',
      '/@/x',
      '/@scope/',
    ],
  ];
  for (const path of paths) {
    it(`are refused in words: ${named(path)}`, async () => {
      const asked = origin.upstream.requests.length;
      for (const server of servers) {
        for (const method of ['GET', 'PUT', 'DELETE']) {
          const target = path.includes('é') ? '/\xe9' : path;
          const answer = await sendRaw(
            Number(new URL(server).port),
            Buffer.from(`${method} ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`, 'latin1'),
          );
          assert.match(answer, /^HTTP\/1\.1 (?:400|401|403|404|405) /, `${method} at ${server}`);
          assert.match(answer, /"error":"[^"]/);
          assert.doesNotMatch(answer.split('\r\n\r\n')[0] ?? '', /set-cookie/i);
        }
      }
      assert.equal(origin.upstream.requests.length, asked, 'the upstream was not bothered');
    });
  }

  it('never make a server fail, whatever they are', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '..',
        '.',
        '-',
        '@s',
        'plain',
        '%2f',
        '%2e',
        '%00',
        '%ff',
        '%25',
        '__proto__',
        'constructor',
        '1.0.0',
      ),
      fc.constantFrom(
        'federation',
        'blob',
        'sha512',
        'head',
        'route',
        'package',
        'dist-tags',
        'npm',
        'v1',
        'x.tgz',
        '?',
        '#',
        ';',
      ),
      fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength: 6 }),
    );
    const path = fc.array(fc.tuple(fc.constantFrom('/', '/', ''), piece), { maxLength: 8 });
    const property = fc.asyncProperty(path, fc.constantFrom('GET', 'HEAD', 'PUT', 'POST'), async (pieces, method) => {
      const target = `/${pieces.flat().join('')}`;
      for (const server of servers) {
        const { status, headers } = await ask(server, { method, target });
        assert.ok(status < 500 && (status < 300 || status >= 400), `${method} ${target}: ${status}`);
        assert.equal(headers.location, undefined);
      }
    });
    await fc.assert(property, { numRuns: 150 });
  });
});

describe('requests that are not HTTP as npm speaks it', () => {
  const raw: [string, string, RegExp][] = [
    ['garbage', 'hello there\r\n\r\n', /^HTTP\/1\.1 40[05] /],
    ['a TLS greeting', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', /^HTTP\/1\.1 40[05] /],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^HTTP\/1\.1 [45]0\d /],
    ['a method that does not exist', 'BREW /plain HTTP/1.1\r\nHost: a\r\n\r\n', /^HTTP\/1\.1 40[05] /],
    ['a method that npm does not use', 'TRACE /plain HTTP/1.1\r\nHost: a\r\n\r\n', /^HTTP\/1\.1 40[05] /],
    ['OPTIONS for everything', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', /^HTTP\/1\.1 40[05] /],
    ['no Host', 'GET /plain HTTP/1.1\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['a line break in a header', 'GET /plain HTTP/1.1\r\nHost: a\r\nx: a\x00b\r\n\r\n', /^HTTP\/1\.1 400 /],
    [
      'two lengths',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
      /^HTTP\/1\.1 400 /,
    ],
    [
      'a length and chunks',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      /^HTTP\/1\.1 400 /,
    ],
    ['headers without end', `GET /plain HTTP/1.1\r\nHost: a\r\nx: ${'y'.repeat(64 * 1024)}\r\n`, /^HTTP\/1\.1 431 /],
    ['a URL of 64 KiB', `GET /${'y'.repeat(64 * 1024)} HTTP/1.1\r\nHost: a\r\n\r\n`, /^HTTP\/1\.1 (?:414|431) /],
    ['a URL of 9 KiB', `GET /${'y'.repeat(9 * 1024)} HTTP/1.1\r\nHost: a\r\n\r\n`, /^HTTP\/1\.1 414 /],
  ];
  for (const [what, text, status] of raw) {
    it(`are answered in JSON: ${what}`, async () => {
      for (const server of servers) {
        // What follows a request that was answered must not keep the connection waiting.
        const closing = text.replace('Host: a\r\n', 'Host: a\r\nConnection: close\r\n');
        const answer = await sendRaw(Number(new URL(server).port), Buffer.from(closing, 'latin1'));
        assert.match(answer, status);
        assert.match(answer, /"error":"[^"]/);
      }
    });
  }

  it('and pipelined ones are answered in their order', async () => {
    const request = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
    const paths = ['/-/ping', '/plain/1.0.0', '/nothing/..', '/-/healthz'];
    const text = paths
      .map((path, at) => request(path, at === paths.length - 1 ? 'Connection: close\r\n' : ''))
      .join('');
    const answers = await sendRaw(origin.port, text);
    assert.deepEqual(answers.match(/HTTP\/1\.1 \d+/g), [
      'HTTP/1.1 200',
      'HTTP/1.1 200',
      'HTTP/1.1 400',
      'HTTP/1.1 200',
    ]);
  });

  it('with headers as long as they may be are answered at once', async () => {
    const long = (text: string) => text.repeat(Math.floor(14_000 / text.length));
    const headers: Record<string, string>[] = [
      { accept: long('application/json;q=0.1,') },
      { accept: long('"') },
      { 'accept-encoding': long('gzip;q=,') },
      { 'accept-encoding': long('a;') },
      { 'if-none-match': long('"a",W/') },
      { 'if-none-match': long('"') },
      { range: `bytes=${long('0-1,')}` },
      { range: `bytes=${long('9')}-` },
      { range: `bytes=-${long('9')}` },
      { 'user-agent': long('npm/') },
      { 'user-agent': 'npm/11.0.0', 'pacote-integrity': long('sha512-AA== ') },
      { host: long('a.') },
      { authorization: long('Bearer ') },
      { 'signature-input': long('sig1=("@method" '), signature: long('sig1=:') },
    ];
    for (const more of headers) {
      for (const path of ['/plain', '/plain/-/plain-1.0.0.tgz', '/-/federation/changes']) {
        const method = path.endsWith('changes') ? 'HEAD' : 'GET';
        const { status } = await origin.ask(path, { method, headers: more });
        assert.ok(status < 500, `${Object.keys(more)} ${path}: ${status}`);
      }
    }
  });
});

describe('bodies', () => {
  const bodies: [string, string, string | Uint8Array, number][] = [
    ['of an audit that is too large', BULK, Buffer.alloc(4 * MIB + 1, ' '), 413],
    ['of an older audit that is too large', '/-/npm/v1/security/audits/quick', Buffer.alloc(4 * MIB + 1, ' '), 413],
    ['of an application that is too large', '/-/federation/hosts/apply', Buffer.alloc(64 * 1024 + 1, ' '), 413],
    ['of a heartbeat that is too large', '/-/federation/hosts/heartbeat', Buffer.alloc(64 * 1024 + 1, ' '), 413],
    ['of an application that is no JSON', '/-/federation/hosts/apply', 'hello', 400],
    ['of an application that is something else', '/-/federation/hosts/apply', '[null]', 400],
    ['of an application that is too deep', '/-/federation/hosts/apply', '['.repeat(60_000), 400],
    ['of an application with a prototype', '/-/federation/hosts/apply', '{"__proto__":{"private":true}}', 400],
    ['of an application that is gzip', '/-/federation/hosts/apply', gzipSync('{}'), 400],
    ['of a heartbeat that nobody signed', '/-/federation/hosts/heartbeat', '{}', 401],
  ];
  for (const [what, path, body, status] of bodies) {
    it(`${what} get a ${status} in words`, async () => {
      for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
        const reply = await origin.ask(path, { method: 'POST', body, headers });
        assert.equal(reply.status, status);
        assert.notEqual(reply.error, '');
      }
      assert.deepEqual(origin.hosts.list().length, 1);
    });
  }

  it('that stop half-way end the request, and nothing else', async () => {
    const text = `POST ${BULK} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"plain":`;
    const asked = origin.upstream.count(/bulk/);
    const socket = connect(origin.port, '127.0.0.1', () => socket.end(text));
    await new Promise((resolve) => socket.once('close', resolve).resume());
    assert.equal(origin.upstream.count(/bulk/), asked);
    assert.equal((await origin.ask('/-/ping')).status, 200);
  });
});

it('after all this everything stands', async () => {
  assert.equal((await origin.ask('/plain/-/plain-1.0.0.tgz')).status, 200);
  assert.deepEqual(
    origin.log.lines.filter(({ level }) => level === 'error'),
    [],
  );
  assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  await assertSound(origin.data);
});
