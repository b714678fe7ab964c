// A mirror as a process of its own: `node mirror-process.ts <origin> <data>` prints its URL and host id when it is ready.
import { createLogger } from '../../src/io/logger.ts';
import { startMirror } from '../../src/mirror/service.ts';

const [origin = '', data = ''] = process.argv.slice(2);
const logger = createLogger({ role: 'mirror', level: 'silent' });
const config = { origin, data, port: 0, host: '127.0.0.1', publicUrl: null, originKey: null, peers: [] };
const mirror = await startMirror(config, { logger, software: 'test', retryTimes: { firstMs: 5, lastMs: 20 } });
process.stdout.write(`ready ${mirror.url} ${mirror.hostId}\n`);
