import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Health, healthAfter, newHealth, type ProbeResult } from '../../src/core/health.ts';

/** One letter per probe: good, wrong bytes, refused, failed. */
const results: Record<string, ProbeResult> = {
  g: { kind: 'good' },
  w: { kind: 'wrong-bytes' },
  r: { kind: 'refused' },
  f: { kind: 'failed', detail: 'status 503' },
};

function after(probes: string): Health {
  return [...probes].reduce(
    (state, letter, index) => healthAfter(state, results[letter] as ProbeResult, 1000 + index),
    newHealth(0),
  );
}

const stories: [string, Health['reason']][] = [
  ['', 'not probed yet'],
  ['g', null],
  ['f', 'not probed yet'],
  ['fg', null],
  ['gf', null],
  ['gfgf', null],
  ['gff', 'failed twice in a row'],
  ['gffg', 'failed twice in a row'],
  ['gffgg', 'failed twice in a row'],
  ['gffggg', null],
  ['gffggfgg', 'failed twice in a row'],
  ['gffggfggg', null],
  ['gw', 'served wrong bytes'],
  ['gwgg', 'served wrong bytes'],
  ['gwggg', null],
  ['gr', 'refused the connection'],
  ['grrr', 'refused the connection'],
  ['grrrg', null],
  // Whoever did worse than refuse has to show more, in whichever order it happened.
  ['grf', 'failed twice in a row'],
  ['grfg', 'failed twice in a row'],
  ['grfggg', null],
  ['gffr', 'failed twice in a row'],
  ['gffrg', 'failed twice in a row'],
  ['gwr', 'served wrong bytes'],
  ['gwff', 'served wrong bytes'],
  ['gffw', 'served wrong bytes'],
  ['grw', 'served wrong bytes'],
  ['grwg', 'served wrong bytes'],
  ['gfr', 'refused the connection'],
  // A newcomer that never answered well is out for what it did.
  ['w', 'served wrong bytes'],
  ['wgg', 'served wrong bytes'],
  ['r', 'refused the connection'],
  ['rg', null],
  ['ff', 'failed twice in a row'],
];

for (const [probes, reason] of stories) {
  test(`after ${probes || 'no probe'}: ${reason ?? 'healthy'}`, () => {
    const state = after(probes);
    assert.equal(state.reason, reason);
    assert.equal(state.healthy, reason === null);
  });
}

test('the state remembers when it changed and what went wrong last', () => {
  const state = after('ggff');
  assert.equal(state.since, 1003);
  assert.equal(state.lastFailure, 'status 503');
  assert.equal(after('ggffggg').since, 1006);
  assert.equal(after('ggffgggg').since, 1006);
});

test('wrong bytes and refusals put a host out at once, three good probes always bring it back', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ggwrf'), maxLength: 20 }), (probes) => {
      assert.equal(after(`${probes}w`).healthy, false);
      assert.equal(after(`${probes}r`).healthy, false);
      assert.equal(after(`${probes}ggg`).healthy, true);
      const { healthy, reason, good, bad } = after(probes);
      assert.equal(healthy, reason === null);
      assert.ok(good === 0 || bad === 0);
    }),
  );
});
