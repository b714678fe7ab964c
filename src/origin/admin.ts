/** What the command line asks of a running origin, over its admin socket. */
import { BadRequestError, NotFoundError } from '../core/errors.ts';
import type { AdminHandler, AdminRequest } from '../io/admin-socket.ts';
import type { Hosts } from './hosts/hosts.ts';
import { type PackageAdmin, reasonOf } from './learning/package-admin.ts';

/** @param verify checks everything stored, and answers with a report for people */
export function createAdminHandler(deps: {
  hosts: Pick<Hosts, 'list' | 'approve' | 'suspend' | 'evict'>;
  packages: PackageAdmin;
  verify: () => Promise<unknown>;
}): AdminHandler {
  const { hosts, packages } = deps;
  return async (request) => {
    const { method, path, body } = request;
    const [what, id, verb] = path;
    if (method === 'GET' && what === 'hosts' && path.length === 1) return hosts.list();
    if (method === 'GET' && what === 'verify' && path.length === 1) return deps.verify();
    if (method === 'POST' && what === 'hosts' && id && path.length === 3) return changeHost(hosts, id, verb, body);
    const route = PACKAGE_ROUTES[routeOf(request)];
    if (route) return route(packages, path, body);
    throw new NotFoundError(`the admin socket of an origin has no ${method} /${path.join('/')}`);
  };
}

type Route = (packages: PackageAdmin, path: readonly string[], body: unknown) => unknown;

/** By method and path; `:` stands for what is the caller's to fill in. */
const PACKAGE_ROUTES: Readonly<Record<string, Route>> = {
  'GET incidents': (packages) => packages.incidents(),
  'GET packages/:': (packages, [, name = '']) => packages.show(name),
  'POST packages/:/:/repin': (packages, [, name = '', version = ''], body) =>
    packages.repin(name, version, reasonOf(body)),
  'GET keys': (packages) => packages.keys(),
  'POST keys/:/accept': (packages, [, keyid = '']) => packages.acceptKey(keyid),
  'GET withdrawals': (packages) => packages.withdrawals(),
  'POST withdrawals/resume': (packages) => packages.resumeWithdrawals(),
};

/** Only the first and the last part of a path are words; `withdrawals/resume` has nothing between them. */
function routeOf({ method, path }: AdminRequest): string {
  const isWord = (at: number) => at === 0 || (method === 'POST' && at === path.length - 1);
  return `${method} ${path.map((part, at) => (isWord(at) ? part : ':')).join('/')}`;
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
