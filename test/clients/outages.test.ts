import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attempted, installed, installTwice, reasonToSkip } from '../support/client-check.ts';
import { install } from '../support/client-run.ts';
import { npm12, pnpm12 } from '../support/client-table.ts';
import { startFederation } from '../support/federation.ts';
import { runCommand } from '../support/processes.ts';
import { described } from '../support/run.ts';

/** Retrying takes npm more than a minute. */
const hasty = { ...npm12, install: ['install', '--fetch-retries=0'] };

const skip = reasonToSkip(npm12) || reasonToSkip(pnpm12);

test('what was installed once can be installed when the upstream is away, and after a crash', { skip }, async (t) => {
  const federation = await startFederation(t);
  await installed(t, pnpm12, federation.door.url);

  await t.test('the upstream refuses connections', async (t) => {
    await federation.upstream.down();
    federation.moveOn();
    await installTwice(t, npm12, federation.door.url, { between: federation.moveOn });
  });

  await t.test('all servers were killed', async (t) => {
    await federation.running.kill();
    const verified = await runCommand(['verify', federation.data]);
    assert.equal(verified.code, 0, described(verified));
    await federation.start();
    await installTwice(t, pnpm12, federation.door.url, { between: federation.moveOn });
  });

  await t.test('they stop when asked to', async () => {
    assert.equal(await federation.running.stop(), 0, federation.running.output());
  });
});

test('a tarball that arrives wrong is not installed, and the right one is afterwards', { skip }, async (t) => {
  const { door, upstream } = await startFederation(t, 1);
  upstream.fault(/\/is-odd-3\.0\.1\.tgz$/, 'corrupt');
  const { machine, outcome } = await attempted(t, hasty, door.url);
  assert.notEqual(outcome.code, 0);
  assert.doesNotMatch(outcome.stdout + outcome.stderr, /404/);
  upstream.mend();
  assert.equal((await install(machine)).code, 0);
});
