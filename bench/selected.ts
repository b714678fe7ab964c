/** Which benchmarks a command line asks for, and one after the other of them. */
import { parseArgs } from 'node:util';
import { type Row, skippedRow } from './report.ts';

/** By name, in the order in which they run. */
export type Benchmarks<Stage> = Readonly<Record<string, (stage: Stage) => Promise<Row[]>>>;

export type Selected = { readonly names: readonly string[]; readonly quick: boolean };

/** `[--quick] NAME...`; without names all that there are. Ends the process if one is unknown. */
export function selected(benchmarks: Readonly<Record<string, unknown>>): Selected {
  const { values, positionals } = parseArgs({ options: { quick: { type: 'boolean' } }, allowPositionals: true });
  const known = Object.keys(benchmarks);
  const unknown = positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    process.stderr.write(`no benchmark ${unknown.join(', ')}; there are ${known.join(', ')}\n`);
    process.exit(2);
  }
  return { names: positionals.length > 0 ? positionals : known, quick: values.quick ?? false };
}

/** For people who watch; results go to the standard output. */
export const say = (line: string): void => void process.stderr.write(`bench: ${line}\n`);

/** The rows of all of them. One that fails doesn't take the others along, but the exit code says so. */
export async function runSelected<Stage>(
  benchmarks: Benchmarks<Stage>,
  names: readonly string[],
  stage: Stage,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const name of names) rows.push(...(await runOne(name, async () => (await benchmarks[name]?.(stage)) ?? [])));
  return rows;
}

async function runOne(name: string, benchmark: () => Promise<Row[]>): Promise<Row[]> {
  say(name);
  try {
    return await benchmark();
  } catch (error) {
    process.exitCode = 1;
    say(`${name} failed: ${(error as Error).stack}`);
    return [skippedRow(name, `it failed: ${(error as Error).message.split('\n', 1)[0]}`)];
  }
}
