/** What the command line asks of a running mirror, over its admin socket. */
import { NotFoundError } from '../core/errors.ts';
import type { AdminHandler } from '../io/admin-socket.ts';
import type { MirrorStores } from '../io/stores.ts';
import { verifyStores } from '../io/verify-stores.ts';

export function createAdminHandler(stores: MirrorStores): AdminHandler {
  return async ({ method, path }) => {
    if (method === 'GET' && path.join('/') === 'verify') return verifyStores(stores);
    throw new NotFoundError(`the admin socket of a mirror has no ${method} /${path.join('/')}`);
  };
}
