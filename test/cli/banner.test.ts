import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BannerFacts, formatBanner } from '../../src/cli/banner.ts';
import { clientSetups } from '../../src/core/client-setup.ts';

const facts: BannerFacts = {
  registry: 'http://localhost:4873/',
  mirrors: ['http://127.0.0.1:40001', 'http://127.0.0.1:40002'],
  upstream: 'https://registry.example',
  verifierKey: 'open-registry/0123456789abcdef+01234567+AAAA',
  rootKeyFile: 'data/origin/keys/root.key',
  data: 'data',
  logFile: 'data/up.log',
};

test('the banner says where everything is and what to type', () => {
  assert.equal(
    formatBanner(facts),
    `
  Your registry is running.

  registry  http://localhost:4873/
  mirrors   http://127.0.0.1:40001
            http://127.0.0.1:40002
  follows   https://registry.example
  data      data
  log       data/up.log
  key       open-registry/0123456789abcdef+01234567+AAAA
  root key  data/origin/keys/root.key (keep a copy offline, then remove it here)

  To use it, and to stop using it:

  npm       use   npm config set registry http://localhost:4873/
            stop  npm config delete registry

  pnpm      use   pnpm config set registry http://localhost:4873/
            stop  pnpm config delete registry

  yarn 1    use   yarn config set registry http://localhost:4873/
            stop  yarn config delete registry

  yarn 4    use   yarn config set --home npmRegistryServer http://localhost:4873/
            use   yarn config set --home unsafeHttpWhitelist localhost
            stop  yarn config unset --home npmRegistryServer
            stop  yarn config unset --home unsafeHttpWhitelist

  bun       use   [install]   (in ~/.bunfig.toml)
            use   registry = "http://localhost:4873/"
            stop  take these lines out again

  Or for one project: a file .npmrc beside package.json (npm, pnpm, yarn 1, bun) with
    registry=http://localhost:4873/

  Ctrl+C stops it. What it has learned stays, and the next start goes on from there.

`,
  );
});

test('without mirrors it says who serves, without a root key it does not speak of one', () => {
  const text = formatBanner({ ...facts, mirrors: [], rootKeyFile: null });
  assert.match(text, /mirrors {3}none; the origin serves everything itself/);
  assert.doesNotMatch(text, /root key/);
});

test('over https yarn 4 needs no permission for plain HTTP', () => {
  const setups = clientSetups('https://registry.example/');
  assert.doesNotMatch(JSON.stringify(setups), /unsafeHttp/);
});
