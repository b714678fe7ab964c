import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { before, describe, it, test } from 'node:test';
import { makeDoor } from '../../../src/core/door.ts';
import { ask, follow, type Question } from '../../support/ask.ts';
import { lifetime } from '../../support/lifetime.ts';
import { sriOf } from '../../support/made-package.ts';
import type { TestMirror } from '../../support/test-mirror.ts';
import type { Dist } from '../../support/upstream-packages.ts';
import { AGENTS, newNetwork, npmFor, pnpm } from '../../support/visitor.ts';
import { startHost, startWholeOrigin, type WholeOrigin } from '../../support/whole-origin.ts';

type Route = {
  by: string;
  reason: string;
  host?: { id: string; url: string };
  excluded: { id: string; url: string; reason: string; why: string }[];
};

const life = lifetime();
const PATH = '/held/-/held-1.0.0.tgz';
let origin: WholeOrigin;
let mirrors: TestMirror[];
let tarball: Buffer;

before(async () => {
  origin = await startWholeOrigin(life, {
    config: {
      // The first is the default; loopback names are doors of their own.
      doors: [
        makeDoor('redirect', 'http://registry.example'),
        makeDoor('self', 'http://self.example'),
        makeDoor('redirect', 'https://secure.example'),
      ],
      redirectUnverified: ['bun'],
      trustProxy: ['127.0.0.2/32'],
    },
  });
  mirrors = await Promise.all([startHost(life, origin), startHost(life, origin)]);
  tarball = origin.put('held')['1.0.0'] as Buffer;
  await origin.ask(PATH);
});

/** As a client that was never there before. */
const visit = (headers: Question['headers'] = {}, path = PATH, method = 'GET') =>
  origin.ask(path, { method, headers, from: newNetwork() });
const sha512Of = (bytes: Buffer) => createHash('sha512').update(bytes).digest('hex');
const route = async (path: string, question: Question = {}) =>
  (await origin.ask(`/-/federation/route${path}`, question)).json<Route>();

describe('a request that will be verified', () => {
  it('is sent to a mirror, and gets the right bytes there', async () => {
    for (const headers of [npmFor(tarball), pnpm]) {
      const reply = await visit(headers);
      assert.deepEqual([reply.status, reply.body.length, reply.headers['content-length']], [302, 0, '0']);
      assert.equal(reply.headers['cache-control'], 'no-store');
      const location = new URL(reply.headers.location ?? '');
      assert.ok(mirrors.some(({ url }) => url === location.origin));
      assert.equal(location.pathname, `/-/federation/blob/sha512/${sha512Of(tarball)}`);
      assert.deepEqual([...location.searchParams.keys()], ['for']);
      assert.deepEqual((await ask(location.href)).body, tarball);
    }
  });

  it('is sent to the same mirror whoever asks, and to others for other tarballs', async () => {
    const chosen = new Set<string>();
    for (let number = 0; number < 20; number++) {
      origin.put(`spread-${number}`);
      const path = `/spread-${number}/-/spread-${number}-1.0.0.tgz`;
      await origin.ask(path);
      const [one, other] = [await visit(pnpm, path), await visit(pnpm, path)];
      const [first, second] = [one, other].map(({ headers }) => new URL(headers.location ?? '').origin);
      assert.equal(first, second);
      chosen.add(first ?? '');
    }
    assert.deepEqual([...chosen].sort(), mirrors.map(({ url }) => url).sort());
  });

  it('is not one for headers only: pnpm keeps the URL of the answer in its lockfile', async () => {
    const reply = await visit(pnpm, PATH, 'HEAD');
    assert.deepEqual([reply.status, reply.headers['content-length']], [200, `${tarball.length}`]);
    assert.doesNotMatch(reply.headers['cache-control'] ?? '', /immutable/);
  });
});

describe('the right bytes come from the origin itself', () => {
  const bytes = (number: number) => Buffer.from(`other bytes ${number}`);
  const unverified: [string, () => Record<string, string>][] = [
    ['for npm without pacote-integrity', () => ({ 'user-agent': AGENTS.npm })],
    [
      'for npm in a script of pnpm, without pacote-integrity',
      () => ({ 'user-agent': 'pnpm/9.15.9 npm/? node/v26.10.0', 'pacote-req-type': 'tarball', 'npm-command': 'ci' }),
    ],
    ['for npm with the hash of other bytes', () => npmFor(bytes(0))],
    [
      'for npm with a second hash',
      () => ({ ...npmFor(tarball), 'pacote-integrity': `${sriOf(tarball)} ${sriOf(bytes(1))}` }),
    ],
    ['for npm with sha1', () => ({ ...npmFor(tarball), 'pacote-integrity': 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=' })],
    ['for npm with nonsense', () => ({ ...npmFor(tarball), 'pacote-integrity': 'sha512-?' })],
    ['for npm 6', () => ({ 'user-agent': AGENTS['npm 6'] })],
    ['for yarn 1', () => ({ 'user-agent': AGENTS['yarn 1'] })],
    ['for yarn 4', () => ({ 'user-agent': AGENTS['yarn 4'] })],
    ['for an unknown client, whatever it says', () => ({ ...npmFor(tarball), 'user-agent': 'curl/8 pnpm/10.0.0' })],
    ['for no user agent at all', () => ({ 'pacote-integrity': sriOf(tarball) })],
  ];
  for (const [what, headers] of unverified) {
    it(what, async () => {
      const reply = await visit(headers());
      assert.deepEqual([reply.status, reply.body, reply.headers.location], [200, tarball, undefined]);
    });
  }

  it('but not for clients that the operator wants sent away all the same', async () => {
    assert.equal((await visit({ 'user-agent': AGENTS.bun })).status, 302);
  });

  it('for clients that the operator sends nowhere, and only for them', async (t) => {
    const keeping = await startWholeOrigin(t, { config: { redirectNever: ['npm'] } });
    const bytes = keeping.put('held')['1.0.0'] as Buffer;
    await keeping.ask(PATH);
    await startHost(t, keeping);
    const reply = await keeping.ask(PATH, { headers: npmFor(bytes), from: newNetwork() });
    assert.deepEqual([reply.status, reply.body], [200, bytes]);
    assert.equal((await keeping.ask(PATH, { headers: pnpm, from: newNetwork() })).status, 302);
    assert.equal(await keeping.metric('tarballs_total', { reason: 'redirect-never', client: 'npm' }), 1);
  });

  it('for the first who asks, since no host could surely have them', async () => {
    origin.put('fresh');
    const path = '/fresh/-/fresh-1.0.0.tgz';
    assert.equal(
      (await route(path, { headers: pnpm })).reason,
      'the tarball is not stored here yet, so no host could surely get it',
    );
    assert.deepEqual([(await visit(pnpm, path)).status, (await visit(pnpm, path)).status], [200, 302]);
  });

  it('if they are pinned by sha1 alone', async () => {
    const { shasum } = {
      shasum: createHash('sha1')
        .update(origin.put('old')['1.0.0'] as Buffer)
        .digest('hex'),
    };
    origin.upstream.packages.mutate('old', ({ versions }) => {
      const dist = versions['1.0.0']?.dist as Dist;
      delete dist.integrity;
      assert.equal(dist.shasum, shasum);
    });
    const path = '/old/-/old-1.0.0.tgz';
    for (const headers of [pnpm, pnpm, npmFor(tarball)]) assert.equal((await visit(headers, path)).status, 200);
    assert.match((await route(path, { headers: pnpm })).reason, /sha1/);
  });

  it('at a door that serves everything itself', async () => {
    const reply = await visit({ ...pnpm, host: 'self.example' });
    assert.deepEqual([reply.status, reply.body], [200, tarball]);
    assert.equal((await visit({ ...pnpm, host: 'registry.example' })).status, 302);
  });

  it('at a door of https while all hosts have http', async () => {
    const host = 'secure.example';
    assert.equal((await visit({ ...pnpm, host })).status, 200);
    const { excluded } = await route(PATH, { headers: { ...pnpm, host } });
    assert.deepEqual([...new Set(excluded.map(({ reason }) => reason))], ['downgrade']);
  });

  it('for clients that could not reach a host on this machine', async () => {
    const question = { headers: { ...pnpm, 'x-forwarded-for': '203.0.113.9' }, from: '127.0.0.2' };
    assert.equal((await origin.ask(PATH, question)).status, 200);
    assert.deepEqual(
      (await route(PATH, question)).excluded.map(({ reason }) => reason),
      ['loopback', 'loopback'],
    );
    const believed = { ...question, from: newNetwork() };
    assert.equal((await origin.ask(PATH, believed)).status, 302, 'no proxy that is trusted said this');
  });
});

describe('a token', () => {
  const token = { authorization: 'Bearer some-token' };

  it('goes to no host: where client and host share a name, nothing is redirected', async () => {
    for (const headers of [npmFor(tarball), pnpm]) {
      const reply = await visit({ ...headers, ...token, host: `127.0.0.1:${origin.port}` });
      assert.equal(reply.status, 200);
      assert.equal((await visit({ ...headers, host: `127.0.0.1:${origin.port}` })).status, 302);
    }
    const { excluded } = await route(PATH, { headers: { ...pnpm, ...token, host: `127.0.0.1:${origin.port}` } });
    assert.deepEqual(
      excluded.map(({ reason }) => reason),
      ['same-hostname', 'same-hostname'],
    );
  });

  it('does not keep from a redirect to another name, which clients send none along to', async () => {
    for (const host of [`localhost:${origin.port}`, 'registry.example']) {
      const reply = await visit({ ...pnpm, ...token, host });
      assert.equal(reply.status, 302);
      assert.doesNotMatch(JSON.stringify(reply.headers), /some-token/);
    }
  });

  it("does not keep from the operator's own hosts, whatever these do with it", async () => {
    assert.equal((await visit({ 'user-agent': AGENTS['pnpm 12'], ...token })).status, 302);
  });
});

test('no answer leads anywhere but to a host', async () => {
  const evil = 'http://evil.example';
  const queries = [`?direct=${evil}`, `?for=${evil}`, `?url=${evil}&location=${evil}`, `?//evil.example/`];
  const paths = [PATH, `//evil.example${PATH}`, `/-/federation/blob/sha512/${sha512Of(tarball)}`, '/held', '/'];
  for (const path of paths.flatMap((each) => queries.map((query) => each + query))) {
    for (const host of ['evil.example', 'registry.example']) {
      const { headers } = await visit({ ...pnpm, host, 'x-forwarded-host': 'evil.example' }, path);
      assert.ok(headers.location === undefined || mirrors.some(({ url }) => headers.location?.startsWith(`${url}/-/`)));
    }
  }
});

describe('the route page', () => {
  it('says who would serve a request and why, for the headers that it came with', async () => {
    const at = await route(PATH, { headers: pnpm });
    const sent = await follow(`${origin.door}${PATH}`, { headers: pnpm, from: newNetwork() });
    assert.deepEqual([at.by, at.host?.url], ['host', new URL(sent.path[0] ?? '').origin]);
    const self = await route(PATH);
    assert.deepEqual([self.by, self.reason], ['origin', 'nothing shows that this client will verify the bytes']);
  });

  it('changes nothing: who asked it is no repeat', async () => {
    const from = newNetwork();
    for (let time = 0; time < 3; time++) assert.equal((await route(PATH, { headers: pnpm, from })).by, 'host');
    assert.equal((await origin.ask(PATH, { headers: pnpm, from })).status, 302);
  });

  it('is for tarballs, in every spelling', async () => {
    origin.put('@scope/name');
    for (const name of ['@scope/name', '@scope%2fname', '@scope%2Fname']) {
      assert.equal((await route(`/${name}/-/name-1.0.0.tgz`)).by, 'origin');
    }
    for (const path of ['/held', '/held/-', '/held/1.0.0', '', '/held/-/none-1.0.0.tgz']) {
      const reply = await origin.ask(`/-/federation/route${path}`);
      assert.equal(reply.status, 404, path);
      assert.notEqual(reply.error, '');
    }
  });

  it('can only be read', async () => {
    const reply = await origin.ask(`/-/federation/route${PATH}`, { method: 'POST', body: '{}' });
    assert.deepEqual([reply.status, reply.headers.allow], [405, 'GET']);
  });

  it('names no private host, and nothing is redirected there', async (t) => {
    const other = await startWholeOrigin(t);
    const hidden = await startHost(t, other, { private: true });
    other.put('held');
    await other.ask(PATH);
    assert.equal((await other.ask(PATH, { headers: pnpm, from: newNetwork() })).status, 200);
    for (const path of [`/-/federation/route${PATH}`, '/-/federation/hosts', '/', '/-/healthz']) {
      for (const accept of ['text/html', '*/*']) {
        const { body } = await other.ask(path, { headers: { ...pnpm, accept } });
        assert.doesNotMatch(body.toString(), new RegExp(`${hidden.hostId}|:${hidden.port}\\b`), path);
      }
    }
  });
});
