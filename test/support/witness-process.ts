// A witness as a process of its own: `node witness-process.ts <data> <log name> <log vkey>` prints its URL when it is ready.
import { startWitness } from './cosigners.ts';

const [dir = '', name = '', vkey = ''] = process.argv.slice(2);
const witness = await startWitness({ after: () => undefined }, { name, vkeys: [vkey] }, { dir });
process.stdout.write(`ready ${witness.url} ${witness.vkey}\n`);
