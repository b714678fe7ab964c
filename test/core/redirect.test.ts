import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CLIENTS, clientOf } from '../../src/core/clients.ts';
import { makeDoor } from '../../src/core/door.ts';
import { type PinnedHash, sriOf } from '../../src/core/integrity.ts';
import {
  decideTarball,
  HOST_REASONS,
  ORIGIN_REASONS,
  redirectLocation,
  sortHosts,
  type TarballInput,
} from '../../src/core/redirect.ts';
import { type HostView, rendezvous } from '../../src/core/selection.ts';

const pinned: PinnedHash = { algorithm: 'sha512', hex: 'ab'.repeat(64) };
const sha1: PinnedHash = { algorithm: 'sha1', hex: 'ab'.repeat(20) };
const otherSri = sriOf({ algorithm: 'sha512', hex: 'cd'.repeat(64) });
const sha1Sri = sriOf(sha1);

function host(id: string, url: string, changes: Partial<HostView> = {}): HostView {
  const { hostname, protocol } = new URL(url);
  const scheme = protocol === 'https:' ? 'https' : 'http';
  return { id, url, hostname, scheme, present: true, healthy: true, approved: true, private: false, ...changes };
}

const good = host('0000000000000001', 'https://mirror.example');

const npm = clientOf('npm/12.2.0 node/v26.10.0');
const base: TarballInput = {
  client: npm,
  pacoteIntegrity: sriOf(pinned),
  authorization: false,
  door: makeDoor('redirect', 'https://registry.example'),
  requestHostname: 'registry.example',
  clientAddress: '203.0.113.7',
  pinned,
  held: true,
  hosts: [good],
  repeatInBudget: false,
  avoided: new Set(),
  redirectUnverified: [],
  redirectTrusted: [],
  redirectNever: [],
  select: rendezvous,
};

/** The chosen host's id, or why it is none. */
function outcome(changes: Partial<TarballInput>): string {
  const decision = decideTarball({ ...base, ...changes });
  return decision.by === 'host' ? decision.host.id : decision.reason;
}

const agents: [string, string | undefined, string | null, string[], string][] = [
  ['npm 12 that will verify', 'npm/12.2.0 node/v26', sriOf(pinned), [], good.id],
  ['npm 8 that will verify', 'npm/8.19.4 node/v16', sriOf(pinned), [], good.id],
  ['npm that names two algorithms', 'npm/12.2.0', `${sha1Sri} ${sriOf(pinned)}`, [], good.id],
  ['npm without the header', 'npm/12.2.0', null, [], 'unverified'],
  ['npm with an empty header', 'npm/12.2.0', '', [], 'unverified'],
  ['npm with garbage', 'npm/12.2.0', 'garbage', [], 'unverified'],
  ['npm that expects other bytes', 'npm/12.2.0', otherSri, [], 'unverified'],
  ['npm that takes either of two', 'npm/12.2.0', `${sriOf(pinned)} ${otherSri}`, [], 'unverified'],
  ['npm with sha1 alone', 'npm/12.2.0', sha1Sri, [], 'unverified'],
  ['npm 6', 'npm/6.14.18 node/v14', null, [], 'unverified'],
  ['npm 6 with a header it never sends', 'npm/6.14.18 node/v14', sriOf(pinned), [], 'unverified'],
  ['pnpm', 'pnpm/12.21.0 npm/? node/v26', null, [], good.id],
  ['pnpm of long ago', 'pnpm/8.15.9 npm/? node/v18', null, [], good.id],
  ['yarn 1', 'yarn/1.22.22 npm/? node/v22', null, [], 'unverified'],
  ['yarn 4', 'got (https://github.com/sindresorhus/got)', null, [], 'unverified'],
  ['bun', 'Bun/1.4.5', null, [], 'unverified'],
  ['deno', 'Deno/2.5.6', null, [], 'unverified'],
  ['an unknown agent', 'curl/8.5.0', null, [], 'unverified'],
  ['an unknown agent with the header', 'curl/8.5.0', sriOf(pinned), [], 'unverified'],
  ['no agent', undefined, null, [], 'unverified'],
  ['yarn 4, allowed by the operator', 'got (x)', null, ['bun', 'yarn-4'], good.id],
  ['bun, where only yarn 4 is allowed', 'Bun/1.4.5', null, ['yarn-4'], 'unverified'],
  ['npm without the header, allowed', 'npm/12.2.0', null, ['npm'], good.id],
  ['npm 6, where later npm is allowed', 'npm/6.14.18', null, ['npm'], 'unverified'],
];

for (const [title, agent, pacoteIntegrity, redirectUnverified, expected] of agents) {
  test(`${title}: ${expected}`, () => {
    assert.equal(outcome({ client: clientOf(agent), pacoteIntegrity, redirectUnverified }), expected);
  });
}

const all = CLIENTS.map(({ id }) => id);

const requests: [string, Partial<TarballInput>, string][] = [
  ['a door of rule self', { door: makeDoor('self', 'https://registry.example') }, 'self-door'],
  ['a sha1 pin', { pinned: sha1, pacoteIntegrity: sha1Sri }, 'sha1-only'],
  ['a sha1 pin and pnpm', { pinned: sha1, client: clientOf('pnpm/12.0.0') }, 'sha1-only'],
  ['a sha1 pin, whoever is allowed', { pinned: sha1, redirectUnverified: all }, 'sha1-only'],
  ['npm, which the operator keeps', { redirectNever: ['npm'] }, 'redirect-never'],
  ['a client that is to be sent and kept', { redirectNever: ['npm'], redirectUnverified: ['npm'] }, 'redirect-never'],
  ['a client that is kept from all hosts', { redirectNever: ['npm'], redirectTrusted: ['npm'] }, 'redirect-never'],
  ['a client that trust does not make verify', { redirectTrusted: ['npm'], pacoteIntegrity: null }, 'unverified'],
  ['a tarball that is not there yet', { held: false }, 'not-held'],
  ['a repeat', { repeatInBudget: true }, 'repeat'],
  ['no host at all', { hosts: [] }, 'no-host'],
  ['a host that selection declines', { select: () => null }, 'no-host'],
];

for (const [title, changes, expected] of requests) {
  test(`${title}: ${expected}, without a look at hosts`, () => {
    assert.equal(outcome(changes), expected);
    assert.deepEqual(decideTarball({ ...base, ...changes }).excluded, []);
  });
}

const plain = makeDoor('redirect', 'http://localhost:4873');
const local = host('0000000000000002', 'http://127.0.0.1:4874');
const trusted = { ...good, trusted: true };
const unverified = { redirectUnverified: ['npm'], pacoteIntegrity: null };
const atDoor = host('0000000000000003', 'https://registry.example:8443');

const hosts: [string, HostView, Partial<TarballInput>, string | null][] = [
  ['fit', good, {}, null],
  ['not approved', { ...good, approved: false }, {}, 'not-approved'],
  ['not connected', { ...good, present: false }, {}, 'not-present'],
  ['unhealthy', { ...good, healthy: false, reason: 'failed twice in a row' }, {}, 'unhealthy'],
  ['avoided', good, { avoided: new Set([good.id]) }, 'avoided'],
  ['not the avoided one', good, { avoided: new Set(['x']) }, null],
  ['http behind an https door', host('1', 'http://mirror.example'), {}, 'downgrade'],
  ['http behind an http door', host('1', 'http://mirror.example'), { door: plain }, null],
  ['https behind an http door', good, { door: plain }, null],
  ['at the door, no token', atDoor, {}, null],
  ['at the door, a token', atDoor, { authorization: true }, 'same-hostname'],
  ['elsewhere, a token', good, { authorization: true }, null],
  ['under the door, a token', host('1', 'https://m.registry.example'), { authorization: true }, null],
  [
    'where the client asked, a token',
    good,
    { authorization: true, requestHostname: 'MIRROR.example' },
    'same-hostname',
  ],
  ['anywhere, a token that would follow', good, { authorization: true, resendsToken: true }, 'token'],
  ['anywhere, no token', good, { resendsToken: true }, null],
  ['trusted, a token', trusted, { authorization: true, resendsToken: true }, null],
  ['trusted and at the door, a token', { ...atDoor, trusted: true }, { authorization: true }, 'same-hostname'],
  ['trusted, a client for trusted hosts', trusted, { redirectTrusted: ['npm'] }, null],
  ['not trusted, a client for trusted hosts', good, { redirectTrusted: ['npm'] }, 'untrusted'],
  ['not trusted, another client', good, { redirectTrusted: ['pnpm', 'npm-6'] }, null],
  ['trusted, one that does not verify', trusted, { ...unverified, redirectTrusted: ['npm'] }, null],
  ['not trusted, one that does not verify', good, { ...unverified, redirectTrusted: ['npm'] }, 'untrusted'],
  ['not trusted, one that does not verify but may go anywhere', good, unverified, null],
  ['trusted and unhealthy', { ...trusted, healthy: false }, { redirectTrusted: ['npm'] }, 'unhealthy'],
  ['neither trusted nor healthy', { ...good, healthy: false }, { redirectTrusted: ['npm'] }, 'unhealthy'],
  ['trusted and avoided', trusted, { redirectTrusted: ['npm'], avoided: new Set([good.id]) }, 'avoided'],
  ['loopback, client away', local, { door: plain }, 'loopback'],
  ['localhost, client away', host('1', 'http://localhost:1'), { door: plain }, 'loopback'],
  ['[::1], client away', host('1', 'http://[::1]:1'), { door: plain }, 'loopback'],
  ['loopback, client on 127.0.0.9', local, { door: plain, clientAddress: '127.0.0.9' }, null],
  ['loopback, client on ::1', local, { door: plain, clientAddress: '::1' }, null],
  ['loopback, client on mapped loopback', local, { door: plain, clientAddress: '::ffff:127.0.0.1' }, null],
  ['loopback, client unknown', local, { door: plain, clientAddress: '' }, 'loopback'],
];

for (const [title, one, changes, reason] of hosts) {
  test(`a host that is ${title}: ${reason ?? 'chosen'}`, () => {
    const decision = decideTarball({ ...base, ...changes, hosts: [one] });
    assert.equal(decision.by, reason === null ? 'host' : 'origin');
    assert.deepEqual(decision.excluded, reason === null ? [] : [{ hostId: one.id, url: one.url, reason }]);
  });
}

test('a door and mirrors of one machine share no hostname, so a token stays', () => {
  const input = {
    door: plain,
    requestHostname: 'localhost',
    clientAddress: '127.0.0.1',
    hosts: [local],
    authorization: true,
  };
  assert.equal(outcome(input), local.id);
  assert.equal(
    outcome({ ...input, requestHostname: '127.0.0.1', door: makeDoor('redirect', 'http://127.0.0.1:4873') }),
    'no-host',
  );
});

test('private hosts are neither chosen nor named', () => {
  const hidden = { ...good, private: true };
  assert.deepEqual(decideTarball({ ...base, hosts: [hidden] }), { by: 'origin', reason: 'no-host', excluded: [] });
  assert.deepEqual(sortHosts([hidden, { ...hidden, approved: false }], base), { fit: [], excluded: [] });
});

test('a fit host is chosen among unfit ones, which are all listed with a reason', () => {
  const unfit = [
    host('2', 'https://b.example', { present: false }),
    host('3', 'https://c.example', { healthy: false }),
    host('4', 'http://d.example'),
  ];
  const decision = decideTarball({ ...base, hosts: [...unfit, good] });
  assert.equal(decision.by === 'host' && decision.host, good);
  assert.deepEqual(
    decision.excluded.map(({ hostId, reason }) => [hostId, reason]),
    [
      ['2', 'not-present'],
      ['3', 'unhealthy'],
      ['4', 'downgrade'],
    ],
  );
});

test('clients for trusted hosts and others share a list of hosts, each sorted once', () => {
  const hosts = [good, { ...trusted, id: '0000000000000002' }];
  const [all, some] = [sortHosts(hosts, base), sortHosts(hosts, base, true)];
  assert.deepEqual(
    [all, some].map(({ fit, excluded }) => [fit.length, excluded.map(({ reason }) => reason)]),
    [
      [2, []],
      [1, ['untrusted']],
    ],
  );
  assert.equal(sortHosts(hosts, base), all);
  assert.equal(sortHosts(hosts, base, true), some);
});

// Most inputs must come as far as a redirect, or nothing is tested.
const mostly = fc.nat(9).map((number) => number > 0);

const anyHost = fc
  .record({
    id: fc.stringMatching(/^[0-9a-f]{16}$/),
    url: fc.constantFrom('https://a.example', 'http://a.example', 'http://127.0.0.1:1', 'https://registry.example:1'),
    present: mostly,
    healthy: mostly,
    approved: mostly,
    private: mostly.map((open) => !open),
    trusted: fc.boolean(),
  })
  .map(({ id, url, ...known }) => host(id, url, known));

const anyInput: fc.Arbitrary<TarballInput> = fc.record({
  client: fc.constantFrom(...CLIENTS),
  pacoteIntegrity: fc.constantFrom(null, sriOf(pinned), otherSri, sha1Sri),
  authorization: fc.boolean(),
  resendsToken: fc.boolean(),
  door: fc.constantFrom(base.door, plain, makeDoor('self', 'https://registry.example')),
  requestHostname: fc.constantFrom('registry.example', 'localhost', 'a.example', '127.0.0.1'),
  clientAddress: fc.constantFrom('203.0.113.7', '127.0.0.1', '::1', '2001:db8::1'),
  pinned: fc.constantFrom(pinned, pinned, sha1),
  held: mostly,
  repeatInBudget: mostly.map((first) => !first),
  hosts: fc.uniqueArray(anyHost, { selector: ({ id }) => id, maxLength: 6 }),
  avoided: fc.constant(new Set<string>()),
  redirectUnverified: fc.subarray(all),
  redirectTrusted: fc.subarray(all, { maxLength: 3 }),
  redirectNever: fc.subarray(all, { maxLength: 2 }),
  select: fc.constant(rendezvous),
});

test('whatever is asked, no redirect breaks a rule, and each host is chosen from or excluded once', () => {
  let redirects = 0;
  fc.assert(
    fc.property(anyInput, (input) => {
      const decision = decideTarball(input);
      for (const { reason } of decision.excluded) assert.ok(Object.hasOwn(HOST_REASONS, reason));
      if (decision.by === 'origin') {
        assert.ok(Object.hasOwn(ORIGIN_REASONS, decision.reason));
        return;
      }
      redirects++;
      const { host: chosen } = decision;
      const { client, door } = input;
      const proven = client.id === 'pnpm' || (client.id === 'npm' && input.pacoteIntegrity === sriOf(pinned));
      assert.ok(proven || input.redirectUnverified.includes(client.id));
      assert.ok(!input.redirectNever.includes(client.id));
      assert.ok(input.pinned === pinned && input.held && !input.repeatInBudget && door.rule === 'redirect');
      assert.ok(chosen.approved && chosen.present && chosen.healthy && !chosen.private);
      assert.ok(chosen.scheme === 'https' || door.url.startsWith('http:'));
      assert.ok(!input.authorization || ![input.requestHostname, new URL(door.url).hostname].includes(chosen.hostname));
      assert.ok(!input.authorization || !input.resendsToken || chosen.trusted);
      assert.ok(!input.redirectTrusted.includes(client.id) || chosen.trusted);
      assert.ok(chosen.hostname !== '127.0.0.1' || ['127.0.0.1', '::1'].includes(input.clientAddress));
      assert.ok(!decision.excluded.some(({ hostId }) => hostId === chosen.id));
    }),
    { numRuns: 3000 },
  );
  assert.ok(redirects > 100, `only ${redirects} redirects were looked at`);
});

test('a redirect names the blob and the mark, and so does the way back', () => {
  const path = `/-/federation/blob/sha512/${pinned.hex}`;
  assert.equal(redirectLocation('https://mirror.example', pinned.hex, 'M'), `https://mirror.example${path}?for=M`);
});
