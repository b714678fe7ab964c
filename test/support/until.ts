import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';

const LOOK_MS = 5;

/**
 * Resolves with the first value that is neither false, null nor undefined, asked for again and again.
 * @throws AssertionError with `what` when there is none within `deadlineMs`
 */
export async function until<Value>(
  what: string,
  look: () => Value | Promise<Value>,
  deadlineMs = 10_000,
): Promise<NonNullable<Value>> {
  for (const end = performance.now() + deadlineMs; performance.now() < end; await setTimeout(LOOK_MS)) {
    const value = await look();
    if (value !== false && value !== null && value !== undefined) return value;
  }
  return assert.fail(`this did not come to be within ${deadlineMs} ms: ${what}`);
}
