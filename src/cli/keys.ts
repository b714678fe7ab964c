/** `keys`: the keys of an origin that is stopped. */
import { join } from 'node:path';
import { UsageError } from '../core/errors.ts';
import { openDataDir, roleOf } from '../io/data-dir.ts';
import { createLogger } from '../io/logger.ts';
import { openOriginStores } from '../io/stores.ts';
import { rotateLogKey, settleLogKey } from '../origin/log/rotate-log-key.ts';
import { originDirOf } from './origin-dir.ts';

/**
 * `keys rotate`: gives an origin's log another key, or finishes doing so where it was cut off.
 *
 * @param rootKeyFile where the root key is; null for the place where the first start made it
 * @param print takes one line
 * @throws UsageError if there is no such origin or root key; ConflictError while the origin runs
 */
export async function rotateKeys(
  target: string,
  rootKeyFile: string | null,
  print: (line: string) => void = (line) => process.stdout.write(`${line}\n`),
): Promise<void> {
  const dir = originDirOf(target);
  if ((await roleOf(dir)) !== 'origin') throw new UsageError(`${target} is not the data directory of an origin`);
  const data = await openDataDir(dir, 'origin');
  try {
    const stores = await openOriginStores(dir);
    await rotateIn(dir, stores, rootKeyFile, print).finally(() => stores.close());
  } finally {
    await data.close();
  }
}

async function rotateIn(
  dir: string,
  stores: Awaited<ReturnType<typeof openOriginStores>>,
  rootKeyFile: string | null,
  print: (line: string) => void,
): Promise<void> {
  const finished = await settleLogKey(dir, stores);
  if (finished !== null) {
    print('a change of the log key that was cut off is finished now; to change the key once more, run this again');
    print(`verifier key  ${finished}`);
    return;
  }
  const file = rootKeyFile ?? join(dir, 'keys', 'root.key');
  const logger = createLogger({ role: 'origin', level: 'silent' });
  const { previous, key } = await rotateLogKey({ dir, stores, rootKeyFile: file, logger, now: Date.now });
  print(`verifier key  ${key}`);
  print(`in place of   ${previous}`);
  print('the root key can go offline again; mirrors follow by the entry in the log');
}
