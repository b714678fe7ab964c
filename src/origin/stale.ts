import { cacheStatus } from '../core/http-semantics.ts';

/** Headers of an answer that is older than it should be, because the upstream could not be asked (RFC 9211). */
export function staleHeaders(stale: boolean): Record<string, string> {
  if (!stale) return {};
  return {
    'cache-status': cacheStatus('open-registry', { hit: true, ttl: -1, detail: 'stale: upstream could not be asked' }),
  };
}
