/** `mirror`: a federated server, alone. */
import type { MirrorConfig } from '../config.ts';
import { createLogger } from '../io/logger.ts';
import { readNpmConfig } from '../io/npm-config.ts';
import { startMirror } from '../mirror/service.ts';
import { httpOptions, printReady, SOFTWARE } from './serving.ts';

/** Said at every start, since an operator has to know what passes through. */
function doorLines(door: string, origin: string): string {
  return [`registry      ${door}/`, `credentials   of its users pass through this server, to ${origin}`].join('\n');
}

export async function runMirror(config: MirrorConfig): Promise<{ close(): Promise<void> }> {
  const logger = createLogger({ role: 'mirror', level: config.logLevel });
  const settings = { ...config, freshnessMs: config.freshnessSeconds * 1000 };
  const mirror = await startMirror(settings, { logger, software: SOFTWARE, http: httpOptions(await readNpmConfig()) });
  printReady('mirror', mirror.url);
  if (config.door === null) process.stdout.write(`host id  ${mirror.hostId}\n`);
  else process.stdout.write(`${doorLines(config.door, config.origin)}\n`);
  process.stdout.write(`cosigner  ${mirror.cosigner}\nwitness   ${mirror.witness}\n`);
  return mirror;
}
