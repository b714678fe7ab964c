import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Followed } from './follower-check.ts';
import { startWholeOrigin } from './whole-origin.ts';

const FRESHNESS_MS = 300_000;

/** An origin in this process that learns what a test wants it to. */
export async function followedOrigin(t: Pick<TestContext, 'after'>): Promise<Followed> {
  const origin = await startWholeOrigin(t, { config: { freshnessMs: FRESHNESS_MS } });
  return {
    url: origin.door,
    learn: async (name, version) => {
      origin.put(name, { [version]: {} });
      origin.pass(FRESHNESS_MS + 1);
      const { status, body } = await origin.ask(`/${name.replace('/', '%2f')}`);
      assert.equal(status, 200, body.toString());
      assert.ok(version in JSON.parse(body.toString()).versions, body.toString());
    },
  };
}
