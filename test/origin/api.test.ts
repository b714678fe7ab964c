import assert from 'node:assert/strict';
import { before, describe, it, test } from 'node:test';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { makeDoor } from '../../src/core/door.ts';
import { ABBREVIATED_TYPE } from '../../src/core/http-semantics.ts';
import type { Reply } from '../support/ask.ts';
import { lifetime } from '../support/lifetime.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { startWholeOrigin, type WholeOrigin } from '../support/whole-origin.ts';

type Packument = {
  name: string;
  'dist-tags': Record<string, string>;
  versions: Record<string, { dist: { tarball: string }; description?: string; deprecated?: string }>;
  time: Record<string, string>;
};

const life = lifetime();
let origin: WholeOrigin;

before(async () => {
  origin = await startWholeOrigin(life);
  const words = { description: 'what it is for', keywords: ['long'], dependencies: { other: '^1.0.0' } };
  origin.put('plain', { '1.0.0': words, '1.1.0': { ...words, deprecated: 'use 2' }, '2.0.0': words });
  origin.put('@scope/name', { '1.0.0': words, '2.0.0-beta.1': words });
  origin.put('JSONStream');
  for (const name of ['plain', '@scope/name']) {
    origin.upstream.packages.mutate(name, (packument) => {
      packument['dist-tags'].old = '1.0.0';
    });
  }
});

const DECODERS: Record<string, (bytes: Buffer) => Buffer> = {
  gzip: (bytes) => gunzipSync(bytes),
  br: (bytes) => brotliDecompressSync(bytes),
  zstd: (bytes) => zstdDecompressSync(bytes),
};
const unpacked = ({ headers, body }: Reply): Buffer => DECODERS[headers['content-encoding'] ?? '']?.(body) ?? body;
const packument = (reply: Reply): Packument => JSON.parse(unpacked(reply).toString());

/** Every way in which clients spell a request for a packument that may be answered with other bytes. */
const VARIANTS = [
  {},
  { 'accept-encoding': 'gzip' },
  { accept: ABBREVIATED_TYPE },
  { accept: ABBREVIATED_TYPE, 'accept-encoding': 'gzip' },
  { accept: ABBREVIATED_TYPE, 'accept-encoding': 'gzip, deflate, br' },
  { 'accept-encoding': 'zstd, gzip, deflate' },
];

describe('a packument', () => {
  const FULL = 'application/json';
  const accepts: [string | undefined, string][] = [
    [undefined, FULL],
    ['*/*', FULL],
    ['application/json', FULL],
    ['text/html, */*;q=0.1', FULL],
    [ABBREVIATED_TYPE, ABBREVIATED_TYPE],
    [`${ABBREVIATED_TYPE}; q=1.0, application/json; q=0.8, */*`, ABBREVIATED_TYPE],
    [`${ABBREVIATED_TYPE};q=0.5, application/json`, FULL],
    [`${ABBREVIATED_TYPE};q=0`, FULL],
  ];
  for (const [accept, type] of accepts) {
    it(`is ${type === FULL ? 'full' : 'abbreviated'} for Accept: ${accept}`, async () => {
      const reply = await origin.ask('/plain', { headers: accept === undefined ? {} : { accept } });
      assert.deepEqual([reply.status, reply.headers['content-type']], [200, type]);
      assert.equal(reply.headers.vary, 'Accept, Accept-Encoding');
      const { versions, time, 'dist-tags': tags } = packument(reply);
      assert.deepEqual(Object.keys(versions), ['1.0.0', '1.1.0', '2.0.0']);
      assert.equal(versions['1.0.0']?.description, type === FULL ? 'what it is for' : undefined);
      assert.equal(versions['1.1.0']?.deprecated, 'use 2');
      assert.deepEqual(tags, { latest: '2.0.0', old: '1.0.0' });
      assert.equal(time['1.1.0'], '2020-01-02T00:00:00.000Z');
    });
  }

  const codings: [string | undefined, string | undefined][] = [
    [undefined, undefined],
    ['identity', undefined],
    ['deflate, compress', undefined],
    ['gzip;q=0', undefined],
    ['gzip', 'gzip'],
    ['gzip, deflate', 'gzip'],
    ['br;q=0.5, gzip', 'gzip'],
    ['gzip, deflate, br', 'br'],
    ['zstd, gzip, deflate', 'zstd'],
    ['zstd;q=0, *', 'br'],
    ['identity;q=0, gzip', 'gzip'],
  ];
  for (const [accepted, coding] of codings) {
    it(`is sent ${coding ?? 'as it is'} for Accept-Encoding: ${accepted}`, async () => {
      const reply = await origin.ask('/plain', {
        headers: accepted === undefined ? {} : { 'accept-encoding': accepted },
      });
      assert.deepEqual([reply.status, reply.headers['content-encoding']], [200, coding]);
      assert.equal(reply.headers['content-length'], `${reply.body.length}`);
      assert.equal(packument(reply).name, 'plain');
    });
  }

  it('is not acceptable to who takes neither coding', async () => {
    const reply = await origin.ask('/plain', { headers: { 'accept-encoding': 'deflate, identity;q=0' } });
    assert.equal(reply.status, 406);
    assert.match(reply.error, /gzip/);
  });

  it('has one strong ETag per form, coding and door, all other bytes alike', async () => {
    const replies = await Promise.all(VARIANTS.map((headers) => origin.ask('/plain', { headers })));
    const elsewhere = await origin.ask('/plain', { headers: { host: `127.0.0.1:${origin.port}` } });
    const etags = [...replies, elsewhere].map(({ headers }) => headers.etag);
    assert.equal(new Set(etags).size, VARIANTS.length + 1);
    for (const etag of etags) assert.match(etag ?? '', /^"[^"]+"$/);
    const [full, zipped, short, shortZipped, ...others] = replies.map((reply) => unpacked(reply).toString());
    assert.deepEqual([zipped, shortZipped, others], [full, short, [short, full]]);
    assert.equal(full?.replaceAll('//localhost:', '//127.0.0.1:'), elsewhere.body.toString());
  });

  it('is not sent again to who has it, in this very form', async () => {
    for (const headers of VARIANTS) {
      const { headers: told } = await origin.ask('/plain', { headers });
      const conditions = [told.etag, `W/${told.etag}`, `"x", ${told.etag}`, '*'];
      for (const condition of conditions) {
        const reply = await origin.ask('/plain', { headers: { ...headers, 'if-none-match': condition } });
        assert.deepEqual([reply.status, reply.body.length], [304, 0]);
        assert.deepEqual([reply.headers.etag, reply.headers.vary], [told.etag, told.vary]);
        assert.equal(reply.headers['cache-control'], told['cache-control']);
      }
      const others = VARIANTS.filter((variant) => variant !== headers);
      for (const other of others) {
        const reply = await origin.ask('/plain', { headers: { ...other, 'if-none-match': told.etag } });
        assert.equal(reply.status, 200);
      }
    }
  });

  it('has the same headers for HEAD, and no body', async () => {
    for (const headers of VARIANTS) {
      const [get, head] = [
        await origin.ask('/plain', { headers }),
        await origin.ask('/plain', { method: 'HEAD', headers }),
      ];
      const { date: _, ...expected } = get.headers;
      const { date: __, ...told } = head.headers;
      assert.deepEqual(told, expected);
      assert.equal(head.headers['content-length'], `${get.body.length}`);
      assert.equal(head.body.length, 0);
    }
  });

  it('names the door that was asked in every tarball URL', async () => {
    for (const host of [`localhost:${origin.port}`, `127.0.0.1:${origin.port}`, `[::1]:${origin.port}`]) {
      for (const headers of VARIANTS) {
        const { versions } = packument(await origin.ask('/@scope%2fname', { headers: { ...headers, host } }));
        const urls = Object.values(versions).map(({ dist }) => dist.tarball);
        const base = `http://${host}/@scope/name/-/name`;
        assert.deepEqual(urls, [`${base}-1.0.0.tgz`, `${base}-2.0.0-beta.1.tgz`]);
      }
    }
  });

  it('is learned once, however many ask and in whichever form', async () => {
    origin.put('wanted');
    const headers = (number: number) => VARIANTS[number % VARIANTS.length] ?? {};
    const asking = Array.from({ length: 40 }, (_, number) => origin.ask('/wanted', { headers: headers(number) }));
    for (const reply of await Promise.all(asking)) assert.equal(reply.status, 200);
    assert.equal(origin.upstream.count(/^\/wanted$/), 1);
  });
});

describe('names', () => {
  const spellings = [
    '/@scope/name',
    '/@scope%2fname',
    '/@scope%2Fname',
    '/%40scope%2fname',
    '/%40scope/name',
    '/@scope/name/',
  ];

  it('mean the same package in every spelling', async () => {
    const etags = new Set<string | undefined>();
    for (const path of [...spellings, '/@scope%2fname?write=true']) {
      const reply = await origin.ask(path);
      assert.equal(reply.status, 200, path);
      etags.add(reply.headers.etag);
    }
    assert.equal(etags.size, 1);
    assert.equal(origin.upstream.count(/^\/@scope\/name$/), 1);
  });

  it('may have capitals, and then differ by them', async () => {
    assert.equal(packument(await origin.ask('/JSONStream')).name, 'JSONStream');
    assert.equal((await origin.ask('/jsonstream')).status, 404);
  });

  it('find a version or what a tag points to, in every spelling', async () => {
    for (const name of ['/plain', ...spellings.slice(0, -1)]) {
      for (const spec of ['1.0.0', 'old']) {
        const reply = await origin.ask(`${name}/${spec}`);
        assert.equal(reply.status, 200, `${name}/${spec}`);
        assert.equal(reply.json().version, '1.0.0');
        assert.equal(reply.headers['content-type'], 'application/json');
      }
    }
  });
});

describe('one version', () => {
  it('is what the packument says of it, byte for byte, and can be asked for conditionally', async () => {
    const all = packument(await origin.ask('/plain'));
    const reply = await origin.ask('/plain/latest');
    assert.deepEqual(reply.json(), all.versions['2.0.0']);
    assert.equal(reply.headers['content-length'], `${reply.body.length}`);
    const again = await origin.ask('/plain/2.0.0', { headers: { 'if-none-match': reply.headers.etag } });
    assert.equal(again.status, 304);
    const head = await origin.ask('/plain/latest', { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers['content-length']], [200, `${reply.body.length}`]);
  });

  it('that is nowhere is told by name', async () => {
    for (const spec of ['9.9.9', 'nightly', '%5E1.0.0', 'constructor', '__proto__', 'toString']) {
      const reply = await origin.ask(`/plain/${spec}`);
      assert.equal(reply.status, 404, spec);
      assert.match(reply.error, /plain has no version or dist-tag/);
    }
  });
});

describe('dist-tags', () => {
  it('come from what was learned, all or one', async () => {
    for (const name of ['plain', '@scope%2fname', '@scope/name']) {
      const reply = await origin.ask(`/-/package/${name}/dist-tags`);
      assert.equal(reply.status, 200);
      assert.equal(reply.json().old, '1.0.0');
      const one = await origin.ask(`/-/package/${name}/dist-tags/old`);
      assert.equal(one.json(), '1.0.0');
      const again = await origin.ask(`/-/package/${name}/dist-tags`, {
        headers: { 'if-none-match': reply.headers.etag },
      });
      assert.equal(again.status, 304);
    }
    assert.equal(origin.upstream.count(/dist-tags/), 0);
  });

  it('that do not exist are not found, neither are those of no package', async () => {
    for (const tag of ['nightly', 'constructor', '__proto__']) {
      assert.equal((await origin.ask(`/-/package/plain/dist-tags/${tag}`)).status, 404);
    }
    const reply = await origin.ask('/-/package/nothing-of-the-kind/dist-tags');
    assert.equal(reply.status, 404);
    assert.match(reply.error, /nothing-of-the-kind/);
  });
});

test('after a restart everything is there, byte for byte, and the upstream need not be', async (t) => {
  const doors = [makeDoor('redirect', 'http://registry.example')];
  const data = tempFolder();
  const first = await startWholeOrigin(t, { config: { doors, data } });
  first.put('kept', { '1.0.0': {}, '1.0.1': {} });
  const paths = ['/kept', '/kept/1.0.0', '/-/package/kept/dist-tags', '/kept/-/kept-1.0.1.tgz'];
  const headers = { host: 'registry.example' };
  const before = await Promise.all(paths.map((path) => first.ask(path, { headers })));
  await first.close();
  await first.upstream.down();
  const second = await startWholeOrigin(t, { config: { doors, data }, upstream: first.upstream });
  for (const [at, path] of paths.entries()) {
    const reply = await second.ask(path, { headers });
    assert.deepEqual([reply.status, reply.headers.etag], [200, before[at]?.headers.etag], path);
    assert.deepEqual(reply.body, before[at]?.body);
    assert.equal(reply.headers['cache-status'], undefined);
  }
});
