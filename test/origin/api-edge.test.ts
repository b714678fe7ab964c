import assert from 'node:assert/strict';
import { before, beforeEach, describe, it } from 'node:test';
import { ABBREVIATED_TYPE } from '../../src/core/http-semantics.ts';
import type { Question } from '../support/ask.ts';
import { lifetime } from '../support/lifetime.ts';
import { until } from '../support/until.ts';
import type { Fault } from '../support/upstream-faults.ts';
import { startWholeOrigin, type WholeOrigin } from '../support/whole-origin.ts';

const life = lifetime();
const BULK = '/-/npm/v1/security/advisories/bulk';
const ADVISORIES = { plain: [{ id: 1, severity: 'high' }] };
let origin: WholeOrigin;

before(async () => {
  origin = await startWholeOrigin(life);
  origin.put('plain', { '1.0.0': {}, '1.1.0': {} });
  origin.put('@scope/name');
  Object.assign(origin.upstream.advisories, ADVISORIES);
});

beforeEach(() => origin.upstream.mend());

describe('questions about the server', () => {
  it('are answered: ping, health, metrics', async () => {
    for (const path of ['/-/ping', '/-/ping?write=true']) {
      const reply = await origin.ask(path);
      assert.deepEqual([reply.status, reply.json()], [200, {}]);
    }
    const health = await origin.ask('/-/healthz');
    assert.deepEqual([health.status, health.json().status, health.json().role], [200, 'ok', 'origin']);
    const page = await origin.ask('/-/metrics');
    assert.match(page.headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/);
    const lines = page.body.toString().trimEnd().split('\n');
    assert.deepEqual(
      lines.filter((line) => !/^(?:$|# (?:HELP|TYPE) .+|\w+(?:\{.*\})? [-+\d.e]+(?:Inf)?)$/.test(line)),
      [],
    );
    assert.equal(await origin.metric('http_requests_total', { kind: 'ping', status: '200' }), 2);
  });

  it('have no one to name', async () => {
    for (const headers of [{}, { authorization: 'Bearer some-token' }]) {
      const reply = await origin.ask('/-/whoami', { headers });
      assert.equal(reply.status, 401);
      assert.match(reply.headers['www-authenticate'] ?? '', /^Bearer/);
      assert.match(reply.error, /nobody is logged in/);
    }
  });

  it('get facts at the root, and people a page', async () => {
    const facts = await origin.ask('/');
    assert.equal(facts.json().registry, `${origin.door}/`);
    assert.equal(typeof facts.json().update_seq, 'number');
    const page = await origin.ask('/', { headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } });
    assert.match(page.headers['content-type'] ?? '', /^text\/html/);
    assert.ok(page.body.includes(`${origin.door}/`));
    assert.equal(page.headers.vary, 'Accept');
    const checkpoint = (await origin.ask('/-/federation/checkpoint')).body.toString();
    const [, size, root] = checkpoint.split('\n');
    assert.ok(page.body.includes(`<dt>Entries</dt><dd>${size}</dd>`));
    assert.ok(page.body.includes(`<dt>Root hash</dt><dd><code>${root}</code></dd>`));
    assert.match(
      page.body.toString(),
      /<dt>Confirmed<\/dt><dd><time [^>]+>[-: 0-9]+ UTC<\/time>, cosigned by this server</,
    );
  });
});

describe('changes', () => {
  const follows = /is refused: this registry only follows its upstream/;
  const accounts = /is refused: this registry has no accounts yet, and reading needs none/;
  const writes: [method: string, path: string, error: RegExp][] = [
    ['PUT', '/plain', follows],
    ['PUT', '/@scope%2fname', follows],
    ['PUT', '/plain/-rev/1-0', follows],
    ['DELETE', '/plain/-rev/1-0', follows],
    ['DELETE', '/plain/-/plain-1.0.0.tgz/-rev/1-0', follows],
    ['PUT', '/-/package/plain/dist-tags/latest', follows],
    ['DELETE', '/-/package/plain/dist-tags/latest', follows],
    ['PUT', '/-/user/org.couchdb.user:me', accounts],
    ['POST', '/-/v1/login', accounts],
    ['DELETE', '/-/user/token/abc', /logout is refused: .* take yours out of your .npmrc/],
    ['POST', '/-/npm/v1/tokens', accounts],
    ['POST', '/-/package/@scope%2fname/access', accounts],
    ['PUT', '/-/org/acme/package', accounts],
    ['POST', '/plain', follows],
  ];
  for (const [method, path, error] of writes) {
    it(`are refused, with the reason: ${method} ${path}`, async () => {
      const reply = await origin.ask(path, { method, headers: { authorization: 'Bearer some-token' }, body: '{}' });
      assert.equal(reply.status, 403);
      assert.match(reply.error, error);
    });
  }

  it('are refused without waiting for their bodies, and the connection stays good', async () => {
    const reply = await origin.ask('/plain', { method: 'PUT', body: Buffer.alloc(20 * 1024 * 1024, 'x') });
    assert.equal(reply.status, 403);
    assert.equal(origin.upstream.requests.filter(({ method }) => method !== 'GET' && method !== 'POST').length, 0);
  });
});

describe('what only the upstream knows', () => {
  const asJson = { 'content-type': 'application/json' };
  /** Each asks something of its own, so that no answer kept for one test serves another. */
  const questions: [what: string, ask: (turn: string) => [path: string, Question], answer: RegExp][] = [
    ['search', (turn) => [`/-/v1/search?text=${turn}`, {}], /is-odd/],
    [
      'advisories',
      (turn) => [BULK, { method: 'POST', headers: asJson, body: JSON.stringify({ plain: [turn] }) }],
      /high/,
    ],
    ['attestations', (turn) => [`/-/npm/v1/attestations/@scope%2fname@1.0.0?${turn}`, {}], /attestations/],
    ['keys', () => ['/-/npm/v1/keys', {}], /"keys"/],
  ];

  for (const [what, question, answer] of questions) {
    it(`is passed on: ${what}`, async () => {
      const [path, asking] = question('1.0.0');
      const secrets = { authorization: 'Bearer some-token', cookie: 'a=some-token', 'npm-otp': '123456' };
      const reply = await origin.ask(path, { ...asking, headers: { ...asking.headers, ...secrets } });
      assert.equal(reply.status, 200);
      assert.match(reply.body.toString(), answer);
      const { headers } = origin.upstream.requests.at(-1) ?? {};
      assert.doesNotMatch(JSON.stringify(headers), /some-token|123456/);
    });
  }

  it('is answered from here again for a minute, and longer while the upstream is away', async () => {
    const asked = () => origin.upstream.count(/^\/-\/v1\/search$/);
    const ask = () => origin.ask('/-/v1/search?text=kept');
    const [first, before] = [await ask(), asked()];
    assert.deepEqual([(await ask()).body, asked()], [first.body, before]);
    origin.upstream.fault(/search/, 'error');
    origin.pass(61_000);
    const stale = await ask();
    assert.deepEqual([stale.status, stale.body], [200, first.body]);
    assert.match(`${stale.headers['cache-status']}`, /ttl=-\d+/);
    origin.pass(60 * 60_000);
    assert.equal((await ask()).status, 502);
  });

  const faults: [string, Fault][] = [
    ['fails', 'error'],
    ['is overloaded', 'unavailable'],
    ['answers with a page', 'html'],
    ['stops half-way', 'truncated'],
  ];
  for (const [how, fault] of faults) {
    it(`is not said to be missing when the upstream ${how}`, async () => {
      // Beyond what is kept.
      origin.pass(2 * 60 * 60_000);
      origin.upstream.fault(/./, fault);
      for (const [what, question] of questions) {
        const reply = await origin.ask(...question(`${how.replaceAll(' ', '-')}`));
        assert.equal(reply.status, 502, what);
        assert.notEqual(reply.error, '');
        assert.equal(reply.headers['cache-control'], 'no-store');
      }
    });
  }

  it('is not waited for without end', async (t) => {
    const { upstream, ask } = await startWholeOrigin(t, { times: { passTimeoutMs: 200 } });
    upstream.fault(/./, 'silent');
    for (const reply of await Promise.all(questions.map(([, question]) => ask(...question('slow'))))) {
      assert.equal(reply.status, 504);
      assert.match(reply.error, /within its time/);
    }
  });

  it('is not asked without bound: what is too much is refused at once', async (t) => {
    const { upstream, ask } = await startWholeOrigin(t, { times: { passTimeoutMs: 60_000 } });
    upstream.fault(/search/, 'silent');
    const from = (network: number) => `127.0.${network}.1`;
    const waiting = Array.from({ length: 64 }, (_, number) =>
      ask(`/-/v1/search?text=${number}`, { from: from(100 + (number % 4)) }),
    );
    await until('64 questions are under way', () => upstream.count(/search/) === 64);
    const refused = await ask('/-/v1/search?text=more', { from: from(200) });
    assert.equal(refused.status, 429);
    assert.match(refused.error, /try again/);
    await upstream.down();
    for (const { status } of await Promise.all(waiting)) assert.equal(status, 502);
  });

  it('may be what the upstream refuses', async () => {
    const reply = await origin.ask('/-/npm/v1/attestations/plain@9.9.9');
    assert.deepEqual([reply.status, reply.error], [404, 'Not found']);
  });
});

describe('a Host that is no door', () => {
  const EVIL = 'evil.example';
  const lies: [string, Question][] = [
    ['Host', { headers: { host: EVIL } }],
    ['Host with our port', { headers: { host: `${EVIL}:80` } }],
    ['X-Forwarded-Host', { headers: { 'x-forwarded-host': EVIL, forwarded: `host=${EVIL}`, 'x-host': EVIL } }],
    ['Host that is half a door', { headers: { host: `localhost.${EVIL}` } }],
    ['Host with credentials', { headers: { host: `localhost@${EVIL}` } }],
    ['Referer', { headers: { referer: `http://${EVIL}/`, origin: `http://${EVIL}` } }],
  ];
  const paths = ['/plain', '/plain/latest', '/', '/-/healthz', '/-/whoami', '/none', '/plain/-/plain-1.0.0.tgz'];
  for (const [what, question] of lies) {
    it(`is never echoed: ${what}`, async () => {
      for (const path of paths) {
        for (const accept of [ABBREVIATED_TYPE, 'text/html']) {
          const reply = await origin.ask(path, { headers: { ...question.headers, accept } });
          assert.doesNotMatch(JSON.stringify(reply.headers) + reply.body, /evil/, path);
        }
      }
      const { body } = await origin.ask('/plain', question);
      assert.ok(body.includes(`"tarball":"${origin.door}/plain/-/plain-1.0.0.tgz"`));
    });
  }

  it('is never echoed: the authority of a whole URL as request target', async () => {
    const reply = await origin.ask(`http://${EVIL}/plain`);
    assert.equal(reply.status, 200);
    assert.doesNotMatch(JSON.stringify(reply.headers) + reply.body, /evil/);
  });
});
