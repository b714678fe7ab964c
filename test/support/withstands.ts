import assert from 'node:assert/strict';
import { afterEach, before, describe, it } from 'node:test';
import type { SourceState } from '../../src/mirror/log/log-follower.ts';
import { sent } from './lies.ts';
import { lifetime } from './lifetime.ts';
import { besiege, type Siege, type SourceName } from './siege.ts';
import type { Lie } from './signed-log.ts';
import { until } from './until.ts';

const MIB = 1024 * 1024;
/** What a source may be taken for meanwhile: never for one that is up to date, or for one with another history. */
const FAULTS: readonly SourceState[] = ['away', 'wrong'];

/**
 * A mirror between a liar and an honest source, which is away while the liar tells its lies, one after the other.
 * @param path what is lied about, under `/-/federation/`
 * @param states what a liar may be taken for
 */
export function describeLiar(
  liarIs: SourceName,
  about: string,
  path: RegExp,
  lies: readonly (readonly [string, Lie])[],
  states = FAULTS,
) {
  describe(`the ${liarIs} sends instead of ${about}`, () => {
    const life = lifetime();
    let siege: Siege;
    before(async () => {
      siege = await besiege(life);
    });
    afterEach(() => siege.beHonest());

    for (const [what, lie] of lies) it(what, () => assertWithstands(siege, liarIs, path, lie, states));

    it('and nothing of that took much memory, was stored, or taken for another history', async () => {
      const peak = siege.mirror.peakMemory();
      assert.ok(peak < 640 * MIB, `${peak} bytes at the peak`);
      assert.deepEqual(await siege.evidence(), []);
      await siege.endSound();
    });
  });
}

async function assertWithstands(
  siege: Siege,
  liarIs: SourceName,
  path: RegExp,
  lie: Lie,
  states: readonly SourceState[],
): Promise<void> {
  const { log, mirror, origin, peer } = siege;
  const [liar, other] = liarIs === 'origin' ? [origin, peer] : [peer, origin];
  const before = await log.note();
  other.lie(/^(checkpoint|tile)/, () => ({ status: 503, headers: {}, body: new Uint8Array(0) }));
  liar.lie(path, lie);
  log.growTo(log.size + 300);
  liar.asked.splice(0);
  const [looks, sentBefore] = [await mirror.looks(liarIs), sent.bytes];

  await until('two looks at the liar', async () => (await mirror.looks(liarIs)) >= looks + 2);
  const state = (await mirror.health()).sources[liarIs] as SourceState;
  assert.ok(states.includes(state), `it is taken for ${state}`);
  assert.equal(await mirror.note(), before);
  const [passes, asked] = [(await mirror.looks(liarIs)) - looks + 1, liar.asked.filter(isOfLog).length];
  assert.ok(asked <= passes * 16, `${asked} requests in ${passes} looks`);
  assert.ok(sent.bytes - sentBefore < passes * 64 * MIB);

  other.beHonest();
  await mirror.shows(await log.note());
  liar.beHonest();
  await mirror.serves(log, log.size);
}

const isOfLog = (line: string): boolean => /federation\/(checkpoint|tile)/.test(line);
