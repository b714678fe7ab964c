import assert from 'node:assert/strict';
import { test } from 'node:test';
import { installed, reasonToSkip, succeeded } from '../support/client-check.ts';
import { inProject } from '../support/client-run.ts';
import { npm12, pnpm12 } from '../support/client-table.ts';
import { startFederation } from '../support/federation.ts';

const advisory = {
  id: 1,
  url: 'https://advisories.example/1',
  title: 'Pads too far',
  severity: 'low',
  vulnerable_versions: '<=1.3.0',
  cwe: [],
  cvss: { score: 0, vectorString: null },
};

/** What npm's reading commands print, in words that only a right answer of the registry can have caused. */
const commands: readonly [args: readonly string[], says: RegExp][] = [
  [['ping', '--json'], /"registry"/],
  [['view', 'is-odd@3.0.1', 'dist.integrity'], /^sha512-CQpnWPrDwmP1/],
  [['view', '@tootallnate/once@2.0.0', 'deprecated'], /superseded/],
  [['dist-tag', 'ls', 'is-odd'], /^latest: 3\.0\.1$/m],
  [['pack', 'is-odd@3.0.1', '--json'], /is-odd-3\.0\.1\.tgz/],
  [['search', 'is-odd'], /is-odd/],
];

test('the reading commands of npm and pnpm work', { skip: reasonToSkip(npm12) || reasonToSkip(pnpm12) }, async (t) => {
  const { door, upstream } = await startFederation(t, 1);
  const machine = await installed(t, npm12, door.url);
  for (const [args, says] of commands) {
    await t.test(`npm ${args.join(' ')}`, async () => {
      assert.match(succeeded(await inProject(machine, 'npm', args)).stdout, says);
    });
  }
  await t.test('npm outdated', async () => {
    const { code, stdout } = await inProject(machine, 'npm', ['outdated', '--json']);
    assert.equal(code, 1, 'npm says so when something is outdated');
    assert.equal(JSON.parse(stdout).ms.latest, '2.1.3');
  });
  await t.test('npm audit', async () => {
    upstream.advisories['left-pad'] = [advisory];
    const { code, stdout } = await inProject(machine, 'npm', ['audit']);
    assert.equal(code, 1, 'npm says so when it found something');
    assert.match(stdout, /Pads too far/);
  });
  await t.test('npm deprecate is refused in words', async () => {
    const { code, stderr } = await inProject(machine, 'npm', ['deprecate', 'is-odd', 'no']);
    assert.notEqual(code, 0);
    assert.match(stderr, /E403/);
  });
  // npm's own `audit signatures` first asks a public service for its root of trust, which tests can't reach; pnpm asks the registry alone.
  await t.test('pnpm audit signatures', async (t) => {
    const machine = await installed(t, pnpm12, door.url);
    const { stdout } = succeeded(await inProject(machine, 'pnpm', ['audit', 'signatures']));
    assert.match(stdout, /\d+ packages have verified registry signatures/);
  });
});
