/** Holds the data directory named on the command line, says so, and waits to be killed. */
import { openDataDir } from '../../../src/io/data-dir.ts';

await openDataDir(process.argv[2] as string, 'mirror');
process.stdout.write('held\n');
setInterval(() => {}, 1_000);
