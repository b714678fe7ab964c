import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ask } from '../../support/ask.ts';
import { followedOrigin } from '../../support/followed-origin.ts';
import { type Followed, followsAlong } from '../../support/follower-check.ts';
import { reasonToSkipFollower, userOf } from '../../support/follower-run.ts';
import { everydayFollowers, furtherFollowers } from '../../support/follower-table.ts';
import { madePackage } from '../../support/made-package.ts';
import { freePort, type Running, startCommand } from '../../support/processes.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { startUpstream } from '../../support/upstream.ts';

for (const follower of furtherFollowers) {
  test(`${follower.label} follows the registry`, { skip: reasonToSkipFollower(follower) }, async (t) => {
    await followsAlong(t, follower, await followedOrigin(t));
  });
}

for (const follower of [...everydayFollowers, ...furtherFollowers]) {
  if (follower.survives === undefined) continue;
  test(`${follower.label} outlives the registry`, { skip: reasonToSkipFollower(follower) }, async (t) => {
    const registry = await startMortal(t);
    await registry.learn('alpha', '1.0.0');
    const following = userOf(t, follower, registry.url).start();
    assert.deepEqual(await following.names(1), ['alpha']);
    await (follower.survives === 'kill' ? registry.running().kill() : registry.running().stop());
    await registry.start();
    await registry.learn('beta', '1.0.0');
    assert.deepEqual(await following.names(2), ['alpha', 'beta']);
  });
}

/** An origin as a process that can go away. */
async function startMortal(t: TestContext): Promise<Followed & { running(): Running; start(): Promise<void> }> {
  const upstream = await startUpstream(t, { signed: false, real: false });
  const port = await freePort();
  const flags = ['origin', '--data', tempFolder(), '--port', `${port}`, '--upstream', upstream.url, '--allow-private'];
  const url = `http://localhost:${port}`;
  const start = async () => {
    const running = await startCommand(t, flags);
    await running.ready('origin');
    return running;
  };
  let running = await start();
  return {
    url,
    running: () => running,
    learn: async (name, version) => {
      upstream.packages.put(madePackage(name, { [version]: {} }));
      assert.equal((await ask(`${url}/${name}`)).status, 200, running.output());
    },
    start: async () => {
      running = await start();
    },
  };
}
