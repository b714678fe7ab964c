import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { userOf } from './follower-run.ts';
import type { Follower } from './follower-table.ts';

/** A registry that a test makes learn packages. */
export interface Followed {
  readonly url: string;
  /** Makes the registry learn a package, or a newer version of it. */
  learn(name: string, version: string): Promise<void>;
}

/** Fails unless a follower gets every change once, goes on where it was after `kill -9`, and sees what happens meanwhile. */
export async function followsAlong(t: TestContext, follower: Follower, registry: Followed): Promise<void> {
  for (const name of ['alpha', '@scope/beta', 'gamma']) await registry.learn(name, '1.0.0');
  await registry.learn('alpha', '1.0.1');
  const user = userOf(t, follower, registry.url);
  const first = user.start();
  assert.deepEqual(await first.names(3), ['@scope/beta', 'gamma', 'alpha']);
  await registry.learn('delta', '1.0.0');
  assert.deepEqual((await first.names(4)).slice(3), ['delta']);
  await first.kill();
  await registry.learn('gamma', '1.0.1');
  await registry.learn('epsilon', '1.0.0');
  const second = user.start();
  assert.deepEqual(await second.names(2), ['gamma', 'epsilon']);
  await registry.learn('@scope/beta', '1.0.1');
  assert.deepEqual((await second.names(3)).slice(2), ['@scope/beta']);
  await second.kill();
}
