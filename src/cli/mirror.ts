/** `mirror`: a federated server, alone. */
import type { MirrorConfig } from '../config.ts';
import { createLogger } from '../io/logger.ts';
import { readNpmConfig } from '../io/npm-config.ts';
import { startMirror } from '../mirror/service.ts';
import { httpOptions, printReady, SOFTWARE } from './serving.ts';

export async function runMirror(config: MirrorConfig): Promise<{ close(): Promise<void> }> {
  const logger = createLogger({ role: 'mirror', level: config.logLevel });
  const mirror = await startMirror(config, { logger, software: SOFTWARE, http: httpOptions(await readNpmConfig()) });
  printReady('mirror', mirror.url);
  process.stdout.write(`host id  ${mirror.hostId}\n`);
  return mirror;
}
