/**
 * `npm run fuzz -- [--seconds N] [--seed N] [NAME …]`: tries the named targets, or all, for that long in all. Ends with 1
 * if an input was found that must not be.
 */
import { parseArgs } from 'node:util';
import { fuzz } from './properties.ts';
import type { Target } from './target.ts';
import { TARGETS } from './targets.ts';

const SECONDS = 300;

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string' }, seed: { type: 'string' } },
  allowPositionals: true,
});
const seconds = wholeNumber('--seconds', values.seconds) ?? SECONDS;
const seed = wholeNumber('--seed', values.seed) ?? Math.floor(Math.random() * 2 ** 31);
const targets = positionals.length === 0 ? TARGETS : positionals.map(targetNamed);

console.log(`${targets.length} targets, ${seconds} s in all, --seed ${seed}`);
const failed = targets.filter((target) => !survives(target));
if (failed.length > 0) console.log(`\nfailed: ${failed.map(({ name }) => name).join(' ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;

function survives(target: Target): boolean {
  let reads = 0;
  const counted = {
    ...target,
    read: (bytes: Uint8Array) => {
      reads += 1;
      target.read(bytes);
    },
  };
  try {
    fuzz(counted, { seed, runs: Number.MAX_SAFE_INTEGER, milliseconds: (seconds * 1_000) / targets.length });
    console.log(`${target.name}: ${reads} reads`);
    return true;
  } catch (error) {
    console.log(`${target.name}: FAILED after ${reads} reads\n${(error as Error).stack}\n${causeOf(error)}`);
    return false;
  }
}

function causeOf(error: unknown): string {
  const { cause } = error as Error;
  return cause instanceof Error ? `${cause.stack}` : '';
}

function targetNamed(name: string): Target {
  const target = TARGETS.find((one) => one.name === name);
  if (target !== undefined) return target;
  console.error(`no target is named ${name}; there are: ${TARGETS.map((one) => one.name).join(' ')}`);
  process.exit(2);
}

function wholeNumber(flag: string, text: string | undefined): number | undefined {
  if (text === undefined || /^\d{1,9}$/.test(text)) return text === undefined ? undefined : Number(text);
  console.error(`${flag} takes a whole number, not ${text}`);
  process.exit(2);
}
