import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CLIENTS, clientOf, requestingClient, resendsToken } from '../../src/core/clients.ts';

const agents: [string | undefined, string][] = [
  ['npm/12.2.0 node/v26.10.0 linux x64 workspaces/false', 'npm'],
  ['npm/10.9.3 node/v22.18.0 linux x64 workspaces/false ci/github-actions', 'npm'],
  ['npm/8.19.4 node/v16.20.2 linux x64 workspaces/false', 'npm'],
  ['npm/7.24.2 node/v16.20.2 linux x64 workspaces/false', 'npm'],
  ['npm/100.0.0 node/v99.0.0', 'npm'],
  ['npm/6.14.18 node/v14.21.3 linux x64', 'npm-6'],
  ['npm/2.15.12 node/v4.9.1 linux x64', 'npm-6'],
  ['pnpm/12.21.0 npm/? node/v26.10.0 linux x64', 'pnpm'],
  ['pnpm/8.15.9 npm/? node/v18.20.8 linux x64', 'pnpm'],
  ['yarn/1.22.22 npm/? node/v22.18.0 linux x64', 'yarn-1'],
  ['got (https://github.com/sindresorhus/got)', 'yarn-4'],
  ['Bun/1.4.5', 'bun'],
  ['Deno/2.5.6', 'deno'],
  ['yarn/4.18.1 npm/? node/v22.18.0', 'unknown'],
  ['curl/8.5.0', 'unknown'],
  ['node', 'unknown'],
  ['my tool around npm/12.2.0', 'unknown'],
  ['npm', 'unknown'],
  ['npm/?', 'unknown'],
  ['', 'unknown'],
  [undefined, 'unknown'],
];

for (const [agent, id] of agents) {
  test(`${agent} is ${id}`, () => assert.equal(clientOf(agent).id, id));
}

test('npm in a script of pnpm is told by its own headers', () => {
  for (const header of ['pacote-req-type', 'pacote-integrity', 'pacote-version', 'npm-command', 'npm-session']) {
    for (const [agent, id] of agents)
      assert.equal(requestingClient({ 'user-agent': agent, [header]: 'x' }).id, id === 'pnpm' ? 'npm' : id);
  }
  for (const [agent, id] of agents)
    assert.equal(requestingClient({ 'user-agent': agent, 'npm-auth-type': 'legacy', accept: '*/*' }).id, id);
});

test('ids are unique', () => {
  assert.equal(new Set(CLIENTS.map(({ id }) => id)).size, CLIENTS.length);
});

test('pnpm 12 and later would send a token to a host that redirects once more, and nobody else', () => {
  const resending = agents.map(([agent]) => agent).filter((agent) => resendsToken(clientOf(agent), agent));
  assert.deepEqual(resending, ['pnpm/12.21.0 npm/? node/v26.10.0 linux x64']);
  const versions = ['5.18.11', '9.15.9', '10.34.9', '11.28.11', '12.0.0', '13.1.0', '20.0.0', '110.0.0'];
  assert.deepEqual(
    versions.filter((version) => resendsToken(clientOf(`pnpm/${version}`), `pnpm/${version}`)),
    ['12.0.0', '13.1.0', '20.0.0', '110.0.0'],
  );
});

test('only npm with its header and pnpm are taken to verify', () => {
  const verifying = CLIENTS.filter(({ verifies }) => verifies === 'always' || verifies === 'with pacote-integrity');
  assert.deepEqual(
    verifying.map(({ id }) => id),
    ['npm', 'pnpm'],
  );
});
