/** Takes up the steps in a data directory where they ended, and goes on until it is killed. A line per finished part. */
import { writeSync } from 'node:fs';
import { openDataDir } from '../../../src/io/data-dir.ts';
import { openOriginStores } from '../../../src/io/stores.ts';
import { runStep } from './steps.ts';

const dir = process.argv[2] as string;
await openDataDir(dir, 'origin');
const stores = await openOriginStores(dir);
for (let step = await stores.metadata.folded(); ; step += 1) {
  // Straight to the pipe: what was said before a kill is said.
  await runStep(stores, step, (part) => writeSync(1, `${part}\n`));
}
