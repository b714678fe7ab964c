/** `up`: an origin and its mirrors on this machine, in one process. */
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { UpConfig } from '../config.ts';
import { makeDataFolder } from '../io/data-dir.ts';
import { createLogger, type Logger } from '../io/logger.ts';
import { type RunningMirror, startMirror } from '../mirror/service.ts';
import { type RunningOrigin, startOrigin } from '../origin/service.ts';
import { formatBanner } from './banner.ts';
import { originDeps, printReady, SOFTWARE } from './serving.ts';

/** Mirrors that are not in the rotation by then are left to get there by themselves. */
const SETTLE_MS = 5_000;
const LOOK_MS = 20;
const FRESHNESS_MS = 300_000;

export async function runUp(config: UpConfig): Promise<{ close(): Promise<void> }> {
  await makeDataFolder(config.data);
  const logFile = join(config.data, 'up.log');
  const loggerOf = (role: string) => createLogger({ role, level: config.logLevel, file: logFile });
  const own = new Set<string>();
  const origin = await startOwnOrigin(config, loggerOf('origin'), own);
  printReady('origin', origin.url);
  const mirrors: RunningMirror[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(mirrors.map((mirror) => mirror.close()));
    await origin.close();
  };
  try {
    for (let number = 1; number <= config.mirrors; number++) {
      const mirror = await startOwnMirror(config, loggerOf(`mirror-${number}`), origin, number);
      own.add(mirror.hostId);
      mirrors.push(mirror);
    }
    await settle(origin, mirrors);
  } catch (error) {
    await close();
    throw error;
  }
  for (const mirror of mirrors) printReady('mirror', mirror.url);
  process.stdout.write(
    formatBanner({
      registry: `${origin.registry}/`,
      mirrors: mirrors.map(({ url }) => url),
      upstream: origin.upstream,
      verifierKey: origin.vkey,
      rootKeyFile: origin.rootKeyFile,
      data: config.data,
      logFile,
    }),
  );
  return { close };
}

/** Loopback only: whoever serves others decides about each of the options that are missing here. */
async function startOwnOrigin(config: UpConfig, logger: Logger, own: ReadonlySet<string>): Promise<RunningOrigin> {
  const settings = {
    data: join(config.data, 'origin'),
    port: config.port,
    host: 'localhost',
    upstream: config.upstream,
    doors: config.doors,
    trustProxy: [],
    neverAsk: [],
    upstreamTarballs: config.upstreamTarballs,
    allowPrivate: true,
    redirectUnverified: [],
    trustedHosts: [],
    redirectTrusted: [],
    redirectNever: [],
    freshnessMs: FRESHNESS_MS,
  };
  const deps = await originDeps(logger);
  return startOrigin(settings, { ...deps, isOwnHost: (hostId) => own.has(hostId) });
}

/** Reached as 127.0.0.1, never as `localhost`: npm sends its token along unless the hostname changes. */
function startOwnMirror(
  config: UpConfig,
  logger: Logger,
  origin: RunningOrigin,
  number: number,
): Promise<RunningMirror> {
  const settings = {
    origin: `http://127.0.0.1:${origin.port}`,
    data: join(config.data, `mirror-${number}`),
    port: 0,
    host: '127.0.0.1',
    publicUrl: null,
    originKey: origin.vkey,
    peers: [],
  };
  return startMirror(settings, { logger, software: SOFTWARE });
}

/** Waits until the origin sends clients to every mirror. */
async function settle(origin: RunningOrigin, mirrors: readonly RunningMirror[]): Promise<void> {
  const fit = () => origin.hosts.list().filter(({ present, healthy }) => present && healthy);
  const isSettled = () => mirrors.every(({ hostId }) => fit().some(({ id }) => id === hostId));
  for (const end = performance.now() + SETTLE_MS; !isSettled() && performance.now() < end; ) await setTimeout(LOOK_MS);
}
