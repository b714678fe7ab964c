/** `mirror`: a federated server, alone. */
import type { MirrorConfig } from '../config.ts';
import { columns } from '../core/text-table.ts';
import { createLogger } from '../io/logger.ts';
import { readNpmConfig } from '../io/npm-config.ts';
import { startMirror } from '../mirror/service.ts';
import { httpOptions, printReady, SOFTWARE } from './serving.ts';

/** Said at every start, since an operator has to know what passes through. */
function doorRows(door: string, origin: string): string[][] {
  return [
    ['registry', `${door}/`],
    ['credentials', `of its users pass through this server, to ${origin}`],
  ];
}

export async function runMirror(config: MirrorConfig): Promise<{ close(): Promise<void> }> {
  const logger = createLogger({ role: 'mirror', level: config.logLevel });
  const settings = { ...config, freshnessMs: config.freshnessSeconds * 1000 };
  const mirror = await startMirror(settings, { logger, software: SOFTWARE, http: httpOptions(await readNpmConfig()) });
  printReady('mirror', mirror.url);
  const { hostId, cosigner, witness } = mirror;
  const first = config.door === null ? [['host id', hostId]] : doorRows(config.door, config.origin);
  process.stdout.write(columns([...first, ['cosigner', cosigner], ['witness', witness]]));
  return mirror;
}
