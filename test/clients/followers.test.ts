import { test } from 'node:test';
import { followedOrigin } from '../support/followed-origin.ts';
import { followsAlong } from '../support/follower-check.ts';
import { reasonToSkipFollower } from '../support/follower-run.ts';
import { everydayFollowers } from '../support/follower-table.ts';

for (const follower of everydayFollowers) {
  test(`${follower.label} follows the registry`, { skip: reasonToSkipFollower(follower) }, async (t) => {
    await followsAlong(t, follower, await followedOrigin(t));
  });
}
