/** What the command line asks of a running origin, over its admin socket. */
import { BadRequestError, NotFoundError } from '../core/errors.ts';
import type { AdminHandler } from '../io/admin-socket.ts';
import type { Hosts } from './hosts.ts';
import type { Incidents } from './incidents.ts';

/** @param verify checks everything stored, and answers with a report for people */
export function createAdminHandler(deps: {
  hosts: Pick<Hosts, 'list' | 'approve' | 'suspend' | 'evict'>;
  incidents: Incidents;
  verify: () => Promise<unknown>;
}): AdminHandler {
  const { hosts, incidents } = deps;
  return async ({ method, path, body }) => {
    const [what, id, verb] = path;
    if (method === 'GET' && what === 'hosts' && path.length === 1) return hosts.list();
    if (method === 'GET' && what === 'incidents' && path.length === 1) return incidents.list();
    if (method === 'GET' && what === 'verify' && path.length === 1) return deps.verify();
    if (method === 'POST' && what === 'hosts' && id && path.length === 3) return changeHost(hosts, id, verb, body);
    throw new NotFoundError(`the admin socket of an origin has no ${method} /${path.join('/')}`);
  };
}

async function changeHost(
  hosts: Pick<Hosts, 'approve' | 'suspend' | 'evict'>,
  id: string,
  verb: string | undefined,
  body: unknown,
): Promise<void> {
  if (verb === 'approve') return hosts.approve(id);
  if (verb === 'suspend') return hosts.suspend(id, reasonOf(body));
  if (verb === 'evict') return hosts.evict(id, reasonOf(body));
  throw new BadRequestError(`a host can't be ${JSON.stringify(verb)}; it can be approved, suspended or evicted`);
}

function reasonOf(body: unknown): string {
  const reason = (body as { reason?: unknown } | null)?.reason;
  if (typeof reason !== 'string' || reason === '') throw new BadRequestError('say why, in one line: reason');
  return reason;
}
