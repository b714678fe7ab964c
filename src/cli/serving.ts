/** What the serving commands share: what they take over from npm's configuration, their version, their lines. */
import { rendezvous } from '../core/selection.ts';
import type { HttpClientOptions } from '../io/http-client.ts';
import type { Logger } from '../io/logger.ts';
import { type NpmConfig, readNpmConfig } from '../io/npm-config.ts';
import { replacedRegistry } from '../io/npm-defaults.ts';
import type { OriginDeps } from '../origin/options.ts';
import { VERSION } from './version.ts';

export const SOFTWARE = `open-registry/${VERSION}`;

/** Everything that `startOrigin` is handed; the router's decision among them. */
export async function originDeps(logger: Logger): Promise<OriginDeps> {
  const npm = await readNpmConfig();
  noteIgnored(npm, logger);
  return {
    logger,
    version: VERSION,
    select: rendezvous,
    defaultUpstream: npm.registry,
    canonicalRegistry: replacedRegistry(),
    http: httpOptions(npm),
  };
}

/** Proxies and certificate authorities of the user's npm configuration. */
export function httpOptions({ proxy, httpsProxy, noProxy, ca, strictSsl }: NpmConfig): Partial<HttpClientOptions> {
  return { proxy, httpsProxy, noProxy, ca, strictSsl };
}

function noteIgnored({ scopedRegistriesIgnored: scopes }: NpmConfig, logger: Logger): void {
  if (scopes.length === 0) return;
  logger.warn(
    { scopes },
    'the npm configuration names registries for these scopes; they are not asked, and no token is used',
  );
}

/** The line by which whoever started a server knows that it answers. */
export function printReady(role: 'origin' | 'mirror', url: string): void {
  process.stdout.write(`open-registry ${role} ready ${url}\n`);
}
