/** The root of an organisation's own door: a page for people, for programs what the origin says to followers. */
import { toBase64 } from '../../core/bytes.ts';
import type { Door } from '../../core/door.ts';
import { UpstreamError } from '../../core/errors.ts';
import { CACHE } from '../../core/http-semantics.ts';
import { CONTROL_ANSWER_BYTES_MAX } from '../../core/limits.ts';
import type { HttpClient } from '../../io/http-client.ts';
import { type Answer, type Incoming, jsonAnswer } from '../../io/http-server.ts';
import type { HomeLog } from '../../web/home-log.ts';
import { HOME_HEADERS, renderHomePage, wantsPage } from '../../web/home-page.ts';
import type { LogFollower } from '../log/log-follower.ts';
import type { OriginTrust } from '../membership/origin-keys.ts';

export type DoorHomeDeps = {
  readonly origin: string;
  readonly client: Pick<HttpClient, 'request'>;
  readonly follower: Pick<LogFollower, 'checkpoint' | 'confirmed' | 'stopped'>;
  readonly trust: Pick<OriginTrust, 'current'>;
};

/** What followers of the replication feed look for; their `/_changes` is the origin's, too. */
const REPLICATION_FACTS = ['db_name', 'engine', 'doc_count', 'update_seq', 'instance_start_time'];
const TIMEOUT_MS = 10_000;

export function createDoorHome(deps: DoorHomeDeps): (incoming: Incoming, door: Door) => Promise<Answer> {
  return async ({ headers: asked, signal }, door) => {
    const registry = `${door.url}/`;
    const headers = { 'cache-control': CACHE.noStore, vary: 'Accept' };
    if (!wantsPage(asked.accept)) {
      const facts = { registry, software: 'open-registry', ...(await replicationFacts(deps, signal)) };
      return jsonAnswer(200, facts, headers);
    }
    const page = renderHomePage({ registry, redirects: false, mirrors: null, log: logOf(deps), version: null });
    return { status: 200, headers: { ...headers, ...HOME_HEADERS }, body: Buffer.from(page) };
  };
}

/** Nothing while the origin can't be asked. */
async function replicationFacts({ origin, client }: DoorHomeDeps, signal: AbortSignal): Promise<object> {
  try {
    const { body } = await client.request(`${origin}/`, {
      ...{ headers: { accept: 'application/json' }, signal, what: 'what the origin says of itself' },
      ...{ maxBytes: CONTROL_ANSWER_BYTES_MAX, totalTimeoutMs: TIMEOUT_MS },
    });
    const said = Object.entries(JSON.parse(Buffer.from(body).toString()) ?? {});
    return Object.fromEntries(said.filter(([fact]) => REPLICATION_FACTS.includes(fact)));
  } catch (error) {
    if (error instanceof UpstreamError || error instanceof SyntaxError) return {};
    throw error;
  }
}

function logOf({ follower, trust }: DoorHomeDeps): HomeLog {
  const served = follower.checkpoint()?.checkpoint;
  const at = follower.confirmed();
  return {
    checkpoint: served ? { size: served.size, root: toBase64(served.root) } : null,
    vkey: trust.current()?.log ?? null,
    confirmed: at === null ? null : { by: 'when a source last showed nothing newer', at },
    halted: follower.stopped(),
  };
}
