import assert from 'node:assert/strict';
import fc, { type Arbitrary } from 'fast-check';
import { FederationError } from '../../src/core/errors.ts';
import { hostileTo, type Pump, pumped, pumpFor, type Target } from './target.ts';

/** How much to try: runs of each property, or (for whichever ends first) milliseconds for all of a target's properties. */
export interface Budget {
  readonly seed: number;
  readonly runs: number;
  readonly milliseconds?: number;
}

/** One nanosecond for each pair of bytes makes half a second here. */
const BYTES_MAX = 32 * 1024;
/** One input may take this many times as long as eight of an eighth of its size: 1 is linear, 8 is quadratic. */
const GROWTH_MAX = 3;
/** What is over sooner says nothing of growth. */
const MILLISECONDS_THAT_COUNT = 40;
/** Neighbours on a busy machine, or a collection of garbage, spoil a measurement; they don't spoil all. */
const MEASUREMENTS = 8;

type Limits = Pick<fc.Parameters, 'seed' | 'numRuns' | 'interruptAfterTimeLimit'>;

/** What is tried of a target, with its share of the runs (comparing times takes many reads of large inputs) and the time. */
interface Attempt {
  readonly runs: number;
  readonly time: number;
  readonly assert: (target: Target, limits: Limits) => void;
}

const ATTEMPTS: readonly Attempt[] = [
  { runs: 1, time: 0.1, assert: (target, limits) => holds(target.valid, (bytes) => target.read(bytes), limits) },
  {
    runs: 1,
    time: 0.5,
    assert: (target, limits) => holds(hostileTo(target), (bytes) => assertReadable(target, bytes), limits),
  },
  {
    runs: 1 / 4,
    time: 0.4,
    assert: (target, limits) => holds(pumpFor(target), (pump) => assertLinear(target, pump), limits),
  },
];

/**
 * Tries a target: what is valid is accepted; whatever else it is given, it answers or throws an error of ours, and
 * leaves the prototypes alone; and its time grows no faster than its input.
 * @throws an error that holds the smallest counterexample found, with the seed that leads there
 */
export function fuzz(target: Target, { seed, runs, milliseconds }: Budget): void {
  for (const attempt of ATTEMPTS) {
    const numRuns = Math.max(1, Math.round(runs * attempt.runs));
    const timed = milliseconds === undefined ? {} : { interruptAfterTimeLimit: milliseconds * attempt.time };
    attempt.assert(target, { seed, numRuns, ...timed });
  }
}

/** @throws whatever the target throws but errors of ours */
export function assertReadable({ read }: Target, bytes: Uint8Array): void {
  try {
    read(bytes);
  } catch (error) {
    if (!(error instanceof FederationError)) throw error;
  }
  assert.deepEqual(prototypeKeys(), KEYS, 'a prototype was polluted');
}

/** @throws AssertionError if eight times the input takes far more than eight times as long */
export function assertLinear(target: Target, pump: Pump): void {
  const largest = Math.min(target.bytesMax ?? BYTES_MAX, BYTES_MAX);
  // From the small to the large, so that what is slow is found before it takes minutes.
  for (const bytes of [largest / 64, largest / 8, largest]) {
    if (!growsLinearly(target, pumped(pump, bytes / 8), pumped(pump, bytes))) {
      assert.fail(`time grows faster than the input, at ${Math.round(bytes)} bytes`);
    }
  }
}

function growsLinearly(target: Target, small: Uint8Array, large: Uint8Array): boolean {
  let [best, bestOfSmall] = [timeOf(target, large, 1), Number.POSITIVE_INFINITY];
  for (let count = 0; count < MEASUREMENTS && best > MILLISECONDS_THAT_COUNT; count += 1) {
    bestOfSmall = Math.min(bestOfSmall, timeOf(target, small, 8));
    if (best <= bestOfSmall * GROWTH_MAX) return true;
    best = Math.min(best, timeOf(target, large, 1));
  }
  return best <= MILLISECONDS_THAT_COUNT;
}

/** Milliseconds for that many reads. */
function timeOf(target: Target, bytes: Uint8Array, reads: number): number {
  const start = performance.now();
  for (let read = 0; read < reads; read += 1) assertReadable(target, bytes);
  return performance.now() - start;
}

function holds<T>(inputs: Arbitrary<T>, check: (input: T) => void, limits: Limits): void {
  fc.assert(fc.property(inputs, check), limits);
}

const prototypeKeys = (): string[] =>
  [Object.prototype, Array.prototype, Function.prototype].flatMap((prototype) =>
    Reflect.ownKeys(prototype).map(String),
  );
const KEYS = prototypeKeys();
