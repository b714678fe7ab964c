/**
 * Why a tarball request would be served by whom: every host with its reason, for the request as it came. A record for
 * operators and tests; asking changes nothing.
 */
import { requestingClient } from '../core/clients.ts';
import type { Door } from '../core/door.ts';
import { NotFoundError } from '../core/errors.ts';
import { CACHE } from '../core/http-semantics.ts';
import { takeName } from '../core/npm-path.ts';
import { HOST_REASONS, ORIGIN_REASONS } from '../core/redirect.ts';
import { type Answer, type Incoming, jsonAnswer, problemAnswer } from '../io/http-server.ts';
import type { TarballAnswers } from './tarball-answer.ts';

/** @param path decoded segments after `/-/federation/route/` */
export async function routePage(
  incoming: Incoming,
  path: readonly string[],
  door: Door,
  tarballs: Pick<TarballAnswers, 'explain'>,
): Promise<Answer> {
  if (incoming.method !== 'GET' && incoming.method !== 'HEAD') {
    return problemAnswer(405, 'method-not-allowed', 'use GET here', { allow: 'GET' });
  }
  const { name, rest } = takeName(path);
  const [dash, file] = rest;
  if (dash !== '-' || file === undefined || rest.length > 2) {
    throw new NotFoundError('ask for /-/federation/route/<name>/-/<file>');
  }
  const decision = await tarballs.explain(incoming, name, file, door);
  const { sha512, excluded } = decision;
  const isHost = decision.by === 'host';
  const page = {
    name,
    file,
    sha512,
    door: door.url,
    client: { id: requestingClient(incoming.headers).id, network: incoming.network },
    by: decision.by,
    ...(isHost ? { host: { id: decision.host.id, url: decision.host.url } } : {}),
    reason: isHost ? 'the highest of the fit hosts for this hash' : ORIGIN_REASONS[decision.reason],
    excluded: excluded.map(({ hostId, url, reason }) => ({ id: hostId, url, reason, why: HOST_REASONS[reason] })),
  };
  return jsonAnswer(200, page, { 'cache-control': CACHE.noStore });
}
