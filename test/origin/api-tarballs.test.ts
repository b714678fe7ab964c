import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { before, describe, it } from 'node:test';
import type { Reply } from '../support/ask.ts';
import { lifetime } from '../support/lifetime.ts';
import type { Dist } from '../support/upstream-packages.ts';
import { startWholeOrigin, type WholeOrigin } from '../support/whole-origin.ts';

const life = lifetime();
const PATH = '/plain/-/plain-1.0.0.tgz';
let origin: WholeOrigin;
let tarball: Buffer;
/** Servers besides the upstream, one of which the operator allows. */
let allowed: FileServer;
let other: FileServer;

before(async () => {
  [allowed, other] = [await startFileServer(), await startFileServer()];
  const config = { neverAsk: ['@internal/*', 'secret'], upstreamTarballs: [allowed.url] };
  origin = await startWholeOrigin(life, { config });
  tarball = origin.put('plain', { '1.0.0': {}, '1.0.1': {} })['1.0.0'] as Buffer;
});

const sha512 = (bytes: Buffer) => createHash('sha512').update(bytes);
const at = (tarball: string) => ({ dist: { tarball } satisfies Dist });
const get = (headers = {}, method = 'GET') => origin.ask(PATH, { method, headers });

type FileServer = { readonly url: string; body: Buffer; asked: number };

/** Sends one body for every path, and those that ask for `/to-other/…` to the other server. */
async function startFileServer(): Promise<FileServer> {
  const server = createServer((request, response) => {
    files.asked++;
    if (request.url?.startsWith('/to-other/')) response.writeHead(302, { location: `${other.url}/x.tgz` }).end();
    else response.end(files.body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  life.after(() => server.close().closeAllConnections());
  const files = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, body: Buffer.of(), asked: 0 };
  return files;
}

describe('a tarball', () => {
  it('comes with its length, its digest, and a name by which it can be asked for again', async () => {
    const reply = await get();
    assert.deepEqual([reply.status, reply.body], [200, tarball]);
    assert.equal(reply.headers['content-length'], `${tarball.length}`);
    assert.equal(reply.headers['content-type'], 'application/octet-stream');
    assert.equal(reply.headers['cache-control'], 'public, max-age=300');
    assert.equal(reply.headers['accept-ranges'], 'bytes');
    assert.equal(reply.headers.etag, `"sha512-${sha512(tarball).digest('hex')}"`);
    assert.equal(reply.headers['repr-digest'], `sha-512=:${sha512(tarball).digest('base64')}:`);
    assert.equal(reply.headers['content-encoding'], undefined);
  });

  it('is found under every spelling of its name', async () => {
    const bytes = origin.put('@scope/name')['1.0.0'];
    const [file, packages] = ['name-1.0.0.tgz', ['@scope/name', '@scope%2fname', '@scope%2Fname', '%40scope%2fname']];
    const paths = packages.map((name) => `/${name}/-/${file}`);
    for (const path of [...paths, `/@scope/name/-/@scope/${file}`, `/@scope/name/-/@scope%2f${file}`]) {
      const reply = await origin.ask(path);
      assert.deepEqual([reply.status, reply.body], [200, bytes], path);
    }
    assert.equal(origin.upstream.count(/\/name-1\.0\.0\.tgz$/), 1);
  });

  it('keeps the file name that the upstream gave it, and is found under the usual one, too', async () => {
    const bytes = origin.put('odd', { '1.0.0': at(`${allowed.url}/files/Odd_Name-1.tar.gz`) })['1.0.0'];
    allowed.body = bytes ?? Buffer.of();
    const { dist } = (await origin.ask('/odd/1.0.0')).json<{ dist: { tarball: string } }>();
    assert.equal(dist.tarball, `${origin.door}/odd/-/Odd_Name-1.tar.gz`);
    for (const path of ['/odd/-/Odd_Name-1.tar.gz', '/odd/-/odd-1.0.0.tgz']) {
      assert.deepEqual((await origin.ask(path)).body, bytes, path);
    }
  });

  it('is fetched from no server but the upstream and those that the operator allows, redirects included', async () => {
    for (const [name, url] of [
      ['elsewhere', `${other.url}/elsewhere-1.0.0.tgz`],
      ['sent-on', `${allowed.url}/to-other/sent-on-1.0.0.tgz`],
      ['no-server', 'file:///etc/hosts.tgz'],
    ] as const) {
      other.body = origin.put(name, { '1.0.0': at(url) })['1.0.0'] ?? Buffer.of();
      const reply = await origin.ask(`/${name}/-/${name}-1.0.0.tgz`);
      assert.equal(reply.status, 502, name);
      assert.match(reply.error, /don't fetch from|not allowed/);
    }
    assert.equal(other.asked, 0);
  });

  it('is learned alone if nobody asked for its package, as after an install from a lockfile', async () => {
    const bytes = origin.put('frozen', { '1.0.0': {}, '1.1.0': {} })['1.1.0'];
    assert.deepEqual((await origin.ask('/frozen/-/frozen-1.1.0.tgz')).body, bytes);
    assert.equal(origin.upstream.count(/^\/frozen$/), 0);
    const { versions } = (await origin.ask('/frozen')).json<{ versions: object }>();
    assert.deepEqual(Object.keys(versions), ['1.0.0', '1.1.0']);
  });

  it('is fetched once for many who want it at the same time', async () => {
    const bytes = origin.put('popular')['1.0.0'];
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, number) => {
        return origin.ask('/popular/-/popular-1.0.0.tgz', { from: `127.9.${number}.1` });
      }),
    );
    for (const { status, body } of replies) assert.deepEqual([status, body], [200, bytes]);
    assert.equal(origin.upstream.count(/\/popular-1\.0\.0\.tgz$/), 1);
    assert.equal(origin.upstream.count(/^\/popular\/1\.0\.0$/), 1);
  });
});

describe('a part of a tarball', () => {
  const ranges: [string, number, number][] = [
    ['bytes=0-9', 0, 10],
    ['bytes=5-', 5, -1],
    ['bytes=-7', -7, -1],
    ['bytes=0-999999', 0, -1],
  ];
  for (const [range, start, end] of ranges) {
    it(`is sent for ${range}`, async () => {
      const reply = await get({ range });
      const expected = end === -1 ? tarball.subarray(start) : tarball.subarray(start, end);
      assert.deepEqual([reply.status, reply.body], [206, expected]);
      const first = start < 0 ? tarball.length + start : start;
      const told = `bytes ${first}-${first + expected.length - 1}/${tarball.length}`;
      assert.deepEqual([reply.headers['content-range'], reply.headers['content-length']], [told, `${expected.length}`]);
      assert.equal(reply.headers['repr-digest'], `sha-512=:${sha512(tarball).digest('base64')}:`);
    });
  }

  it('that lies behind the end is refused, with the size', async () => {
    const reply = await get({ range: `bytes=${tarball.length}-` });
    assert.deepEqual([reply.status, reply.headers['content-range']], [416, `bytes */${tarball.length}`]);
    assert.equal(reply.headers['cache-control'], 'no-store');
  });

  for (const range of ['bytes=0-1,5-6', 'bytes=9-2', 'lines=1-2', 'bytes=x-', 'bytes=']) {
    it(`is the whole for ${range}`, async () => {
      const reply = await get({ range });
      assert.deepEqual([reply.status, reply.body], [200, tarball]);
    });
  }

  it('is sent only if the rest that the client has is of the same bytes', async () => {
    const { etag } = (await get()).headers;
    assert.equal((await get({ range: 'bytes=3-', 'if-range': etag })).status, 206);
    for (const other of [`W/${etag}`, '"sha512-00"', 'Wed, 21 Oct 2015 07:28:00 GMT']) {
      const reply = await get({ range: 'bytes=3-', 'if-range': other });
      assert.deepEqual([reply.status, reply.body], [200, tarball]);
    }
  });
});

describe('conditions', () => {
  it('save who has the tarball from getting it again', async () => {
    const { etag } = (await get()).headers;
    const reply = await get({ 'if-none-match': etag, range: 'bytes=0-1' });
    assert.deepEqual([reply.status, reply.headers.etag, reply.body.length], [304, etag, 0]);
    assert.equal((await get({ 'if-none-match': '"other"' })).status, 200);
    assert.equal((await get({ 'if-match': '"other"' })).status, 412);
    assert.equal((await get({ 'if-match': etag })).status, 200);
  });

  it('and HEAD, which tells what GET would', async () => {
    const told = ({ headers: { date: _, ...rest } }: Reply) => rest;
    const [got, looked] = [await get(), await get({ range: 'bytes=0-1' }, 'HEAD')];
    assert.deepEqual(told(looked), told(got));
    assert.deepEqual([looked.status, looked.body.length], [200, 0]);
    assert.equal(looked.headers['content-length'], `${tarball.length}`);
    origin.put('looked-at');
    assert.equal((await origin.ask('/looked-at/-/looked-at-1.0.0.tgz', { method: 'HEAD' })).status, 200);
  });
});

describe('what is not there', () => {
  const missing: [string, RegExp][] = [
    ['/nothing-of-the-kind', /nothing-of-the-kind is not in this registry: its upstream has no such package/],
    ['/nothing-of-the-kind/1.0.0', /nothing-of-the-kind is not in this registry/],
    ['/nothing-of-the-kind/-/nothing-of-the-kind-1.0.0.tgz', /nothing-of-the-kind@1\.0\.0 is not in this registry/],
    ['/plain/-/plain-9.9.9.tgz', /plain@9\.9\.9 is not in this registry/],
    ['/plain/-/other-1.0.0.tgz', /plain has no tarball "other-1\.0\.0\.tgz"/],
    ['/plain/-/plain-1.0.0.exe', /not a tarball's file name/],
    ['/plain/1.0.0/more', /nothing is at/],
    ['/-/nothing', /nothing is at/],
    ['/-/federation/nothing', /there is no \/-\/federation\/nothing/],
    [`/-/federation/blob/sha512/${'0'.repeat(128)}`, /the index has no tarball sha512/],
  ];
  for (const [path, words] of missing) {
    it(`is a 404 that says so: ${path.slice(0, 60)}`, async () => {
      const reply = await origin.ask(path);
      assert.equal(reply.status, 404);
      assert.match(reply.error, words);
      assert.equal(reply.headers['cache-control'], 'no-store');
    });
  }

  it('is asked for once, and found once it is published and the bound has passed', async () => {
    const paths = ['/later', '/later/-/later-1.0.0.tgz', '/plain/-/plain-3.0.0.tgz'];
    const ask = async () => (await Promise.all(paths.map((path) => origin.ask(path)))).map(({ status }) => status);
    assert.deepEqual([await ask(), await ask()], [Array(3).fill(404), Array(3).fill(404)]);
    const asked = origin.upstream.requests.length;
    await ask();
    assert.equal(origin.upstream.requests.length, asked);
    origin.put('later');
    origin.put('plain', { '1.0.0': {}, '1.0.1': {}, '3.0.0': {} });
    origin.pass(300_000);
    assert.deepEqual(await ask(), Array(3).fill(200));
  });

  it('is never asked for if the operator says so', async () => {
    for (const path of [
      '/secret',
      '/@internal%2fx',
      '/@internal/x/-/x-1.0.0.tgz',
      '/secret/latest',
      '/-/package/secret/dist-tags',
    ]) {
      const reply = await origin.ask(path);
      assert.equal(reply.status, 404, path);
      assert.match(reply.error, /never asked for it/);
    }
    assert.equal(origin.upstream.count(/secret|internal/), 0);
  });
});

describe('what was withdrawn', () => {
  it('is a 451 with the reason, a version as a whole package', async () => {
    origin.put('taken-down', { '1.0.0': {}, '1.0.1': {} });
    origin.put('gone');
    for (const name of ['taken-down', 'gone']) {
      assert.equal((await origin.ask(`/${name}/-/${name}-1.0.0.tgz`)).status, 200);
      assert.equal((await origin.ask(`/${name}`)).status, 200);
    }
    const sha512 = (await origin.ask('/-/federation/route/taken-down/-/taken-down-1.0.0.tgz')).json().sha512;
    origin.upstream.packages.withdraw('taken-down', '1.0.0');
    origin.upstream.packages.withdraw('gone');
    origin.pass(300_000);
    const left = (await origin.ask('/taken-down')).json<{ versions: object; time: object }>();
    assert.deepEqual([Object.keys(left.versions), '1.0.0' in left.time], [['1.0.1'], false]);
    const paths = [
      ...['/taken-down/-/taken-down-1.0.0.tgz', '/taken-down/1.0.0', `/-/federation/blob/sha512/${sha512}`],
      ...['/gone', '/gone/latest', '/gone/-/gone-1.0.0.tgz', '/-/package/gone/dist-tags'],
    ];
    for (const path of paths) {
      const reply = await origin.ask(path);
      assert.equal(reply.status, 451, path);
      assert.match(reply.error, /was withdrawn: withdrawn by the upstream/);
    }
    assert.equal((await origin.ask('/taken-down/-/taken-down-1.0.1.tgz')).status, 200);
  });
});
