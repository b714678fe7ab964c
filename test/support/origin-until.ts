/**
 * An origin that kills itself at a step: `node origin-until.ts DATA UPSTREAM STEP TIME`, the TIMEth time that it comes
 * there. Without a step it runs on.
 * Prints the ready line of every origin.
 */
import { rendezvous } from '../../src/core/selection.ts';
import { createLogger } from '../../src/io/logger.ts';
import { startOrigin } from '../../src/origin/service.ts';
import { originConfig } from './origin-config.ts';

const [data = '', upstream = '', fatal, time = '1'] = process.argv.slice(2);
let times = 0;

const origin = await startOrigin(
  { ...originConfig(data, upstream), host: '127.0.0.1' },
  {
    logger: createLogger({ role: 'origin', level: 'silent' }),
    version: 'test',
    select: rendezvous,
    defaultUpstream: upstream,
    step: (step) => {
      if (step === fatal && ++times === Number(time)) process.kill(process.pid, 'SIGKILL');
    },
  },
);
process.stdout.write(`open-registry origin ready ${origin.url}\n`);
process.once('SIGTERM', async () => {
  await origin.close();
  process.exit(0);
});
