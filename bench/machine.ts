/** The machine under the figures, and the programs that the benchmark borrows from it. */
import { cpus, platform, release, totalmem } from 'node:os';
import { findProgram, installPackages } from '../test/support/system-packages.ts';

/** Absolute paths of programs; null for what is not there. */
export type Tools = {
  readonly wrk: string | null;
  readonly nginx: string | null;
  readonly ip: string | null;
  readonly tc: string | null;
};

/** Debian's package for each program. */
const PACKAGES = { wrk: 'wrk', nginx: 'nginx-light', ip: 'iproute2', tc: 'iproute2' } as const;

/** One line: processor, cores, memory, system, runtime. */
export function machineLine(): string {
  const [processor] = cpus();
  const gib = Math.round(totalmem() / 2 ** 30);
  const system = `${platform()} ${release().split('-')[0]}`;
  return `${processor?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, ${gib} GiB, ${system}, node ${process.version}`;
}

/** Finds the programs, and installs what is missing where that is permitted. */
export async function findTools(say: (line: string) => void): Promise<Tools> {
  const wanted = Object.entries(PACKAGES).filter(([program]) => findProgram(program) === null);
  const missing = [...new Set(wanted.map(([, name]) => name))];
  if (missing.length > 0) await installPackages(missing, say);
  return { wrk: findProgram('wrk'), nginx: findProgram('nginx'), ip: findProgram('ip'), tc: findProgram('tc') };
}
