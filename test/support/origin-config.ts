import type { OriginConfig } from '../../src/origin/options.ts';

/** An origin with nothing said but where it keeps things and what it follows: on a free port, with hosts on this machine. */
export function originConfig(data: string, upstream: string): OriginConfig {
  return {
    ...{ data, upstream, port: 0, host: 'localhost' },
    ...{ doors: [], trustProxy: [], neverAsk: [], upstreamTarballs: [] },
    ...{ allowPrivate: true, freshnessMs: 300_000 },
    ...{ redirectUnverified: [], trustedHosts: [], redirectTrusted: [], redirectNever: [] },
  };
}
