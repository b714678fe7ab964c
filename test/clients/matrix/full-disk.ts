import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { attempted, installed, installTwice, reasonToSkip, succeeded } from '../../support/client-check.ts';
import { npm12, pnpm12 } from '../../support/client-table.ts';
import { startFederation } from '../../support/federation.ts';
import { largeApplication } from '../../support/large-application.ts';
import { runCommand } from '../../support/processes.ts';
import { described } from '../../support/run.ts';
import { mountSmallDisk } from '../../support/small-disk.ts';

const MEGABYTES = 200;
const hasty = { ...npm12, install: [...npm12.install, '--fetch-retries=0'] };

test('on a full disk what is held is served, what is new is refused clearly, and room brings all back', async (t) => {
  const disk = await mountSmallDisk(t, MEGABYTES);
  if (typeof disk === 'string') return t.skip(`no file system can be mounted here: ${disk}`);
  const reason = reasonToSkip(npm12) || reasonToSkip(pnpm12);
  if (reason) return t.skip(reason);
  const federation = await startFederation(t, 1, join(disk.folder, 'data'));
  const { door, moveOn } = federation;
  await installed(t, pnpm12, door.url);
  await disk.fill();

  await t.test('what is new is refused', async (t) => {
    // The first ones may still go where the database has free pages.
    const { outcome } = await attempted(t, hasty, door.url, { application: largeApplication });
    assert.notEqual(outcome.code, 0);
    assert.match(described(outcome), /E507.*(?:disk|room|space)/s);
  });
  await t.test('what is held is installed', async (t) => {
    for (const client of [npm12, pnpm12]) {
      moveOn();
      await installTwice(t, client, door.url, { between: moveOn });
    }
  });
  await disk.free();
  await t.test('with room again, everything is installed', async (t) => {
    moveOn();
    await installTwice(t, pnpm12, door.url, { application: largeApplication, between: moveOn });
  });
  assert.equal(await federation.running.stop(), 0, federation.running.output());
  succeeded(await runCommand(['verify', federation.data]));
});
