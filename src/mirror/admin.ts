/** What the command line asks of a running mirror, over its admin socket. */
import { NotFoundError } from '../core/errors.ts';
import type { AdminHandler } from '../io/admin-socket.ts';
import type { BlobStore } from '../io/blob-store.ts';
import { verifyStores } from '../io/verify-stores.ts';

export function createAdminHandler(stores: { blobs: BlobStore }): AdminHandler {
  return async ({ method, path }) => {
    if (method === 'GET' && path.join('/') === 'verify')
      return verifyStores({ ...stores, close: async () => undefined });
    throw new NotFoundError(`the admin socket of a mirror has no ${method} /${path.join('/')}`);
  };
}
