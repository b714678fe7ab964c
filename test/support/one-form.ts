import assert from 'node:assert/strict';
import fc from 'fast-check';
import { equal } from '../../src/core/bytes.ts';
import { MalformedError } from '../../src/core/errors.ts';
import { mutated } from './arbitrary.ts';

/**
 * Asserts that a format has one form in bytes per value: values come back as they were, and bytes that were changed in
 * one place are refused by a MalformedError or are exactly what another value is written as.
 */
export function assertOneForm<T>(
  values: fc.Arbitrary<T>,
  format: (value: T) => Uint8Array,
  parse: (bytes: Uint8Array) => T,
  runs: number,
): void {
  const changed = values.chain((value) => fc.tuple(fc.constant(value), mutated(format(value))));
  const property = fc.property(changed, ([value, bytes]) => {
    assert.deepEqual(parse(format(value)), value);
    const read = tryParse(parse, bytes);
    if (read instanceof MalformedError) return;
    assert.deepEqual(format(read), bytes);
    if (!equal(format(value), bytes)) assert.notDeepEqual(read, value);
  });
  fc.assert(property, { numRuns: runs });
}

function tryParse<T>(parse: (bytes: Uint8Array) => T, bytes: Uint8Array): T | MalformedError {
  try {
    return parse(bytes);
  } catch (error) {
    if (error instanceof MalformedError) return error;
    throw error;
  }
}
