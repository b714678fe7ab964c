// A mirror as a process of its own: `node mirror-process.ts <origin> <data> [options]` prints its URL and host id when it is
// ready. The options are JSON: settings such as `peers`, `originKey`, `port`, `door`; `logTimes` (service.ts); `until` names
// a step of taking in the log (held-log.ts) at which it kills itself as `kill -9` would, `times` how often the step may
// pass before that.
import { createLogger } from '../../src/io/logger.ts';
import { startMirror } from '../../src/mirror/service.ts';

const [origin = '', data = '', options = '{}'] = process.argv.slice(2);
const { until = null, times = 1, logTimes = {}, ...settings } = JSON.parse(options);
let left = times;
const step = (name: string): void => {
  if (name === until && --left === 0) process.kill(process.pid, 'SIGKILL');
};
const mirror = await startMirror(
  { origin, data, port: 0, host: '127.0.0.1', publicUrl: null, originKey: null, peers: [], ...settings },
  {
    logger: createLogger({ role: 'mirror', level: 'silent' }),
    software: 'test',
    retryTimes: { firstMs: 5, lastMs: 20 },
    logTimes: { originMs: 50, peersMs: 50, peersAwayMs: 50, ...logTimes },
    step,
  },
);
process.stdout.write(`ready ${mirror.url} ${mirror.hostId}\n`);
