/** Resident memory of each server after what the other benchmarks of this run did to it. */
import { absoluteRow, type Row, skippedRow } from './report.ts';
import type { Stage } from './stage.ts';

const MB_MAX = 150;
const OURS = new Set(['origin', 'mirror']);

export async function benchMemory(stage: Stage): Promise<Row[]> {
  await stage.federation();
  await stage.nginx();
  await stage.verdaccio();
  const servers = await stage.running();
  return Promise.all(
    servers.map(async ({ name, memoryMb }) => {
      const value = await memoryMb();
      if (Number.isNaN(value)) return skippedRow(`memory of ${name}`, 'this system does not tell');
      return absoluteRow('memory after load', 'MB', { who: name, value }, OURS.has(name) ? { atMost: MB_MAX } : null);
    }),
  );
}
