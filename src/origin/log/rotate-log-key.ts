/**
 * Another log key for an origin that is stopped: the root key says so in the log itself, and from that entry on the new
 * key signs.
 *
 * Order, and what a crash leaves behind:
 * 1. The next key and the next keys note, signed by root key and next key, are durable beside those that they are to
 *    replace. Crash: {@link settleLogKey} drops them, since the log knows nothing of them.
 * 2. The `log-key` entry is appended with a commit. This is the commit point. Nothing is signed here: the next start signs
 *    the checkpoint that covers the entry, with the new key.
 * 3. The tables take it in, then key and note move to their places. Crash: {@link settleLogKey} finishes it.
 */
import { signLogKey } from '../../core/log-key.ts';
import { openOriginKeys, openRootKey } from '../../io/key-file.ts';
import { lastEntry } from '../../io/last-entry.ts';
import type { Logger } from '../../io/logger.ts';
import { dropNextLogKey, makeNextLogKey, nextLogVkey, takeNextLogKey } from '../../io/next-log-key.ts';
import type { OriginStores } from '../../io/stores.ts';
import { openOwnGuard } from './fork-guard.ts';
import { appendBatch, type BatchStep, mendLog } from './log-batch.ts';

type Stores = Pick<OriginStores, 'metadata' | 'blobs'>;

export type RotationDeps = {
  /** The origin's data directory, which the caller owns. */
  readonly dir: string;
  readonly stores: Stores;
  /** Where the root key is. */
  readonly rootKeyFile: string;
  readonly logger: Logger;
  /** Unix ms. */
  readonly now: () => number;
  /** Told of each step, for tests that stop the process between two of them. */
  readonly step?: (name: RotationStep) => void;
};

export type RotationStep = 'keys:prepared' | BatchStep | 'keys:taken';

/** Vkeys. */
export type Rotation = { readonly previous: string; readonly key: string };

/**
 * Finishes or forgets a rotation that was cut off. To be called before the keys are opened.
 * @returns vkey of the key that has now taken its place; null if there was nothing to finish
 */
export async function settleLogKey(dir: string, stores: Stores): Promise<string | null> {
  const vkey = await nextLogVkey(dir);
  if (vkey !== null) {
    await mendLog(stores);
    if ((await stores.metadata.get('log-key', vkey)) !== null) {
      await takeNextLogKey(dir);
      return vkey;
    }
  }
  await dropNextLogKey(dir);
  return null;
}

/**
 * Gives the log another key.
 * @throws UsageError without the right root key; LogHaltedError while the log is halted
 */
export async function rotateLogKey(deps: RotationDeps): Promise<Rotation> {
  const { dir, stores, rootKeyFile, logger, now, step } = deps;
  const keys = await openOriginKeys(dir);
  const root = await openRootKey(rootKeyFile, keys);
  const tree = await mendLog(stores);
  const guard = await openOwnGuard({ dir, metadata: stores.metadata, keys, logger });
  guard.mustAgree();
  const next = await makeNextLogKey(dir, keys, root);
  step?.('keys:prepared');
  const rotation = { previous: keys.log.vkey, key: next.vkey };
  const entry = { kind: 'log-key', ...rotation, signature: await signLogKey(rotation, root) } as const;
  const time = (await lastEntry(stores.metadata, tree.size))?.time ?? 0;
  const common = { ...stores, guard, now, ...(step ? { step } : {}) };
  const appended = await appendBatch(common, { tree, time }, [entry]);
  await appended.fold();
  await takeNextLogKey(dir);
  step?.('keys:taken');
  return rotation;
}
