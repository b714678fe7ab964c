/** How an origin says that it is: whether it can append, what its log holds, how many hosts can serve for it. */
import { toHex } from '../core/bytes.ts';
import { CACHE } from '../core/http-semantics.ts';
import { type Answer, jsonAnswer, problemAnswer } from '../io/http-answer.ts';
import type { Hosts } from './hosts/hosts.ts';
import type { ForkGuard } from './log/fork-guard.ts';
import type { Log } from './log/log.ts';
import type { Registry } from './registry.ts';

/** @param failure why nothing can be stored any more; null while all is well */
export function healthAnswer({ log, guard }: Registry, hosts: Hosts, failure: Error | null): Answer {
  if (failure) return problemAnswer(503, 'broken', failure.message);
  const views = hosts.views();
  const fit = views.filter(
    (host) => host.approved && host.present && host.healthy && !host.behind && !host.withdrawals,
  ).length;
  const facts = {
    status: guard.halted() === null ? 'ok' : 'halted',
    role: 'origin',
    entries: log.size(),
    log: logFacts(log, guard),
    hosts: { known: views.length, fit },
  };
  return jsonAnswer(200, facts, { 'cache-control': CACHE.noStore });
}

/** The newest checkpoint as a few facts; `halted` says why nothing is appended. */
function logFacts(log: Log, guard: ForkGuard): Record<string, unknown> {
  const published = log.checkpoint();
  const { origin: name, size, root } = published?.checkpoint ?? { origin: null, size: null, root: null };
  return { name, size, root: root && toHex(root), halted: guard.halted() };
}
