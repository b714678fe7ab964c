/** `origin`: the central service, alone. */
import type { OriginConfig } from '../config.ts';
import { createLogger } from '../io/logger.ts';
import { startOrigin } from '../origin/service.ts';
import { originDeps, printReady } from './serving.ts';

export async function runOrigin(config: OriginConfig): Promise<{ close(): Promise<void> }> {
  const logger = createLogger({ role: 'origin', level: config.logLevel });
  const settings = { ...config, freshnessMs: config.freshnessSeconds * 1000 };
  const origin = await startOrigin(settings, await originDeps(logger));
  printReady('origin', origin.url);
  if (origin.registry !== origin.url) process.stdout.write(`registry      ${origin.registry}/\n`);
  process.stdout.write(`verifier key  ${origin.vkey}\n`);
  if (origin.rootKeyFile !== null) {
    process.stdout.write(`root key      ${origin.rootKeyFile}: keep a copy offline and remove it here\n`);
  }
  return origin;
}
