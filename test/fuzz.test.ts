import { test } from 'node:test';
import { fuzz } from './fuzz/properties.ts';
import { TARGETS } from './fuzz/targets.ts';

// Always the same inputs: a run that fails here fails for everybody. `npm run fuzz` looks for new ones.
const BUDGET = { seed: 1, runs: 200 };

for (const target of TARGETS) {
  test(`${target.name}: what strangers write is read or refused, in bounded time`, () => fuzz(target, BUDGET));
}
