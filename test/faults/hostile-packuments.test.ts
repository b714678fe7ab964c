import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { lifetime } from '../support/lifetime.ts';
import { sriOf } from '../support/made-package.ts';
import { assertSound, incidentsOf } from '../support/stored.ts';
import { startWholeOrigin, type WholeOrigin } from '../support/whole-origin.ts';

type Versions = Record<string, { dist: { tarball: string }; [member: string]: unknown }>;

const life = lifetime();
const TARBALL = Buffer.from('a tarball');
const DEEP = `${'['.repeat(5_000)}${']'.repeat(5_000)}`;
let origin: WholeOrigin;
let packages = 0;

before(async () => {
  origin = await startWholeOrigin(life);
});

/** A manifest as text, with the members given as text in place of or after the usual ones. */
function manifest(name: string, version: string, more: Record<string, string> = {}): string {
  const usual: Record<string, string> = {
    name: JSON.stringify(name),
    version: JSON.stringify(version),
    dist: dist(`${origin.upstream.url}/${name}/-/${name}-${version}.tgz`),
  };
  const members = Object.entries({ ...usual, ...more });
  return `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`;
}

const dist = (tarball: string, integrity = sriOf(TARBALL)) => JSON.stringify({ tarball, integrity });

/** Lets the upstream answer with a packument made of these texts, beside a version 1.0.0 that is as it should be. */
function says(parts: (name: string) => { versions?: Record<string, string>; tags?: string; rest?: string }): string {
  packages++;
  const name = `package-${packages}`;
  const { versions = {}, tags = '{"latest":"1.0.0"}', rest = '' } = parts(name);
  const all = Object.entries({ '1.0.0': manifest(name, '1.0.0'), ...versions });
  const listed = all.map(([version, text]) => `${JSON.stringify(version)}:${text}`).join(',');
  const text = `{"name":"${name}","dist-tags":${tags},"versions":{${listed}}${rest}}`;
  origin.put(name);
  origin.upstream.fault(new RegExp(`^/${name}$`), () => gzipSync(text));
  origin.upstream.fault(new RegExp(`^/${name}/-/.*\\.tgz$`), () => TARBALL);
  return name;
}

async function versionsOf(name: string): Promise<Versions> {
  const replies = [await origin.ask(`/${name}`), await origin.ask(`/${name}`, { headers: { accept: ABBREVIATED } })];
  for (const { status, error } of replies) assert.equal(status, 200, error);
  const [full, short] = replies.map((reply) => reply.json<{ versions: Versions }>().versions);
  assert.deepEqual(Object.keys(full ?? {}), Object.keys(short ?? {}));
  return full ?? {};
}
const ABBREVIATED = 'application/vnd.npm.install-v1+json';
const isClean = () => assert.equal(({} as { polluted?: unknown }).polluted, undefined);

describe('one bad version', () => {
  const bad: [string, string, (name: string, version: string) => string][] = [
    ['is of another name', '1.1.0', (_, version) => manifest('other', version)],
    ['is of another version', '1.1.0', (name) => manifest(name, '1.1.1')],
    ['is null', '1.1.0', () => 'null'],
    ['is a list', '1.1.0', () => '[]'],
    ['has no dist', '1.1.0', (name, version) => manifest(name, version, { dist: 'null' })],
    ['has no tarball', '1.1.0', (name, version) => manifest(name, version, { dist: '{"integrity":"sha512-AA=="}' })],
    ['has an empty tarball URL', '1.1.0', (name, version) => manifest(name, version, { dist: dist('') })],
    ['has a tarball that is no text', '1.1.0', (name, version) => manifest(name, version, { dist: '{"tarball":{}}' })],
    [
      'has no hash',
      '1.1.0',
      (name, version) => manifest(name, version, { dist: '{"tarball":"http://x.example/x.tgz"}' }),
    ],
    [
      'has a hash that is none',
      '1.1.0',
      (name, version) => manifest(name, version, { dist: dist('http://x.example/x.tgz', 'md5-AA==') }),
    ],
    ['is too deep', '1.1.0', (name, version) => manifest(name, version, { x: `${'['.repeat(500)}${']'.repeat(500)}` })],
    ['has a member twice', '1.1.0', (name, version) => manifest(name, version).replace('{', `{"name":"${name}",`)],
    ['is not called a version', 'not a version', (name, version) => manifest(name, version)],
    ['has a line feed in it', '1.1.0\nhead/1', (name, version) => manifest(name, version)],
    ['is a path', '../../1.1.0', (name, version) => manifest(name, version)],
    ['is empty', '', (name, version) => manifest(name, version)],
    ['is a star', '*', (name, version) => manifest(name, version)],
    ['is a prototype', '__proto__', (name, version) => manifest(name, version)],
    ['is a constructor', 'constructor', (name, version) => manifest(name, version)],
    ['is of 300 characters', `1.1.0-${'a'.repeat(300)}`, (name, version) => manifest(name, version)],
  ];
  for (const [what, version, text] of bad) {
    it(`spoils no other, and is told to the admin: it ${what}`, async () => {
      const name = says((name) => ({
        versions: { [version]: text(name, version) },
        tags: `{"latest":"1.0.0","bad":${JSON.stringify(version)}}`,
      }));
      assert.deepEqual(Object.keys(await versionsOf(name)), ['1.0.0']);
      assert.deepEqual((await origin.ask(`/-/package/${name}/dist-tags`)).json(), { latest: '1.0.0' });
      assert.equal((await origin.ask(`/${name}/-/${name}-1.0.0.tgz`)).status, 200);
      assert.equal((await origin.ask(`/${name}/bad`)).status, 404);
      assert.ok((await incidentsOf(origin.data)).some((line) => line.endsWith(` ${name}@${version}`)));
      isClean();
    });
  }
});

describe('what a packument says of where tarballs are', () => {
  const urls = [
    'file:///etc/passwd',
    'javascript:alert(1)',
    'http://169.254.169.254/latest/meta-data',
    'https://user:password@registry.example/x.tgz',
    '//registry.example/x.tgz',
    '/x.tgz',
    'http://registry.example:99999/x.tgz',
    `http://registry.example/${'x'.repeat(10_000)}.tgz`,
    'ftp://registry.example/x.tgz',
  ];
  for (const url of urls) {
    it(`is never followed elsewhere, nor passed on: ${JSON.stringify(url.slice(0, 50))}`, async () => {
      const name = says((name) => ({
        versions: { '1.1.0': manifest(name, '1.1.0', { dist: dist(url, sriOf(Buffer.from(url))) }) },
      }));
      const tarball = (await versionsOf(name))['1.1.0']?.dist.tarball ?? '';
      assert.ok(tarball.startsWith(`${origin.door}/${name}/-/`));
      const reply = await origin.ask(new URL(tarball).pathname);
      assert.equal(reply.status, 502);
      assert.match(reply.error, /don't fetch from/);
      assert.doesNotMatch(reply.error, /password/);
    });
  }

  const files = [
    '..%2f..%2fevil.tgz',
    '%2e%2e%2fevil.tgz',
    'evil.tgz%00.png',
    'evil.exe',
    'evil%0d%0aset-cookie:x.tgz',
    '"><script>.tgz',
    'évil.tgz',
  ];
  for (const file of files) {
    it(`names no file but safe ones: ${file}`, async () => {
      const url = (name: string) => `${origin.upstream.url}/${name}/-/${file}`;
      const name = says((name) => ({ versions: { '1.1.0': manifest(name, '1.1.0', { dist: dist(url(name)) }) } }));
      const { '1.1.0': version } = await versionsOf(name);
      assert.equal(version?.dist.tarball, `${origin.door}/${name}/-/${name}-1.1.0.tgz`);
    });
  }
});

describe('prototypes', () => {
  const polluting = '{"polluted":true,"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}';

  it('are polluted by no member of a packument', async () => {
    const members = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'];
    const rest = members.map((member) => `,"${member}":${polluting}`).join('');
    const name = says((name) => ({
      rest: `${rest},"time":{"__proto__":"2020-01-01T00:00:00.000Z","1.0.0":"2020-01-01T00:00:00.000Z"}`,
      versions: {
        '1.1.0': manifest(name, '1.1.0', {
          __proto_: polluting,
          constructor: polluting,
          dependencies: polluting,
          scripts: polluting,
          directories: polluting,
        }).replace('"__proto_"', '"__proto__"'),
        '1.2.0': manifest(name, '1.2.0', {
          dist: dist(`${origin.upstream.url}/${name}/-/x.tgz`).replace('{', `{"__proto__":${polluting},`),
        }),
      },
      tags: '{"__proto__":"1.0.0","constructor":"1.1.0","toString":"1.0.0","latest":"1.2.0"}',
    }));
    assert.deepEqual(Object.keys(await versionsOf(name)), ['1.0.0', '1.1.0', '1.2.0']);
    isClean();
    assert.equal((await origin.ask(`/${name}/constructor`)).json().version, '1.1.0');
    assert.equal((await origin.ask(`/${name}/__proto__`)).json().version, '1.0.0');
    assert.equal((await origin.ask(`/${name}/valueOf`)).status, 404);
    assert.equal((await origin.ask(`/-/package/${name}/dist-tags/toString`)).json(), '1.0.0');
  });

  it('are no packages: a name that every object has is a name like others', async () => {
    for (const name of ['constructor', 'hasOwnProperty', 'toString', 'valueOf']) {
      assert.equal((await origin.ask(`/${name}`)).status, 404, name);
      origin.put(name);
      origin.pass(300_000);
      assert.deepEqual(Object.keys(await versionsOf(name)), ['1.0.0']);
      assert.equal((await origin.ask(`/${name}/-/${name}-1.0.0.tgz`)).status, 200);
      assert.equal((await origin.ask(`/${name}/${name}`)).status, 404);
    }
    isClean();
  });
});

describe('strange but sound packuments', () => {
  it('are passed on byte for byte', async () => {
    const strange = '{"big":12345678901234567890,"1":1,"0":0,"half":"\\ud800","e":1.0e+2,"s":"\\u2028\\/"}';
    const name = says((name) => ({
      rest: `,"strange":${strange}`,
      versions: { '1.1.0': manifest(name, '1.1.0', { strange }) },
    }));
    const full = (await origin.ask(`/${name}`)).body.toString();
    assert.equal(full.split(`"strange":${strange}`).length, 3);
    assert.ok((await origin.ask(`/${name}/1.1.0`)).body.toString().includes(`"strange":${strange}`));
  });

  it('may have tags that point nowhere, or are no tags', async () => {
    const tags = '{"gone":"9.9.9","number":1,"list":[],"object":{},"null":null,"":"1.0.0","latest":"9.9.9"}';
    const name = says(() => ({ tags }));
    const shown = (await origin.ask(`/-/package/${name}/dist-tags`)).json();
    assert.deepEqual([shown.gone, shown.latest], [undefined, '1.0.0']);
    assert.equal((await origin.ask(`/${name}/gone`)).status, 404);
    assert.equal((await origin.ask(`/${name}/latest`)).json().version, '1.0.0');
  });

  it('may have members of any kind where others have objects', async () => {
    for (const rest of [
      ',"time":null',
      ',"time":[]',
      ',"time":"x"',
      ',"readme":{}',
      ',"users":1',
      ',"_attachments":[]',
    ]) {
      const name = says(() => ({ rest }));
      const { status } = await origin.ask(`/${name}`);
      assert.ok(status === 200 || status === 502, `${rest}: ${status}`);
    }
  });

  it('that are too deep are a 502, also as the document of one version', async () => {
    const name = says((name) => ({ versions: { '1.1.0': manifest(name, '1.1.0', { x: DEEP }) } }));
    assert.equal((await origin.ask(`/${name}`)).status, 502);
    const alone = says(() => ({}));
    origin.upstream.fault(new RegExp(`^/${alone}(?:/1.0.0)?$`), () => gzipSync(manifest(alone, '1.0.0', { x: DEEP })));
    const reply = await origin.ask(`/${alone}/-/${alone}-1.0.0.tgz`);
    assert.equal(reply.status, 502);
    assert.match(reply.error, /deep/);
  });
});

it('after all this everything stands', async () => {
  assert.deepEqual(
    origin.log.lines.filter(({ level }) => level === 'error'),
    [],
  );
  await assertSound(origin.data);
});
