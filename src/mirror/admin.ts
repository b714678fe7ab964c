/** What the command line asks of a running mirror, over its admin socket. */
import { NotFoundError } from '../core/errors.ts';
import type { AdminHandler } from '../io/admin-socket.ts';
import type { MirrorStores } from '../io/stores.ts';
import { type PublishedHead, verifyStores } from '../io/verify-stores.ts';

/** @param served the checkpoint that is served, opened */
export function createAdminHandler(stores: MirrorStores, served: PublishedHead): AdminHandler {
  return async ({ method, path }) => {
    if (method === 'GET' && path.join('/') === 'verify') return verifyStores(stores, served);
    throw new NotFoundError(`the admin socket of a mirror has no ${method} /${path.join('/')}`);
  };
}
