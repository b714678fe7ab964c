/** Opens what carries out withdrawals: what they mean, from whom that is learned, and which of it is kept all the same. */
import type { HttpClient } from '../../io/http-client.ts';
import type { MirrorStores } from '../../io/stores.ts';
import { createContentFetcher } from '../blobs/fetch-content.ts';
import { createPinnedHere } from './pinned-here.ts';
import { startWithdrawals, type Withdrawals, type WithdrawalsDeps } from './withdrawals.ts';
import { createWithdrawnContent } from './withdrawn-content.ts';

type OpenDeps = Omit<WithdrawalsDeps, 'index' | 'blobs' | 'content' | 'pinnedHere'> & {
  readonly stores: MirrorStores;
  readonly client: HttpClient;
  /** Base URLs, in the order in which to ask them. */
  readonly sources: readonly string[];
};

/** @param cleanups gets what waits until it has stopped, after the signal has aborted */
export async function openWithdrawals(parts: OpenDeps, cleanups: (() => Promise<void>)[]): Promise<Withdrawals> {
  const { stores, client, sources, signal } = parts;
  const { index, blobs, door } = stores;
  const common = { stored: [...(door ? [door.blobs] : []), blobs], client, sources, signal };
  // Apart from the packages' blobs, where a head stands for all that it names.
  const kept = createContentFetcher({ ...common, keep: blobs });
  const withdrawals = await startWithdrawals({
    ...{ ...parts, index, blobs },
    content: createWithdrawnContent({ index, content: createContentFetcher(common), kept }),
    pinnedHere: door && createPinnedHere(door, client),
  });
  cleanups.push(() => withdrawals.close());
  return withdrawals;
}
