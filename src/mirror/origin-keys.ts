/**
 * What this mirror believes of its origin's keys. The first note is believed if the operator gave a key, or if nobody else
 * can have answered (https, loopback); from then on only notes of the same root key and log are.
 *
 * Order: verify, store (commit point), use. A crash before the commit point leaves the note that was believed before.
 */
import { join } from 'node:path';
import { SignatureError, UsageError } from '../core/errors.ts';
import { isLoopbackHostname } from '../core/ip.ts';
import { logNameOf, type OriginKeys, openKeysNote } from '../core/keys-note.ts';
import { NOTE_BYTES_MAX } from '../core/limits.ts';
import { readBounded, writeDurably } from '../io/durable-file.ts';
import type { HttpClient } from '../io/http-client.ts';
import { fetchNote } from './ask-origin.ts';

const FILE = 'origin-keys.note';

export type OriginTrust = {
  /** The keys that are believed now, or null before the first. */
  current(): OriginKeys | null;
  /**
   * Asks the origin for its keys and believes them if it may.
   * @throws SignatureError for keys that must not be believed; UpstreamError if the origin can't be asked
   */
  refresh(): Promise<OriginKeys>;
};

/**
 * @param options `originKey`: vkey of the origin's log key or root key, from its operator; null trusts the first visit
 * @throws UsageError if there is no way to know whose the first answer is; SignatureError if the stored keys don't fit
 */
export async function openOriginTrust(options: {
  readonly dir: string;
  readonly origin: string;
  readonly originKey: string | null;
  readonly client: HttpClient;
}): Promise<OriginTrust> {
  const { dir, origin, originKey, client } = options;
  const path = join(dir, FILE);
  const stored = await readBounded(path, NOTE_BYTES_MAX);
  let current = stored && openKeysNote(stored, originKey);
  if (!current && originKey === null && !isSafeFirstVisit(origin)) {
    throw new UsageError(
      `${origin} is neither https nor this machine, so anybody could answer; give --origin-key with the verifier key that the origin prints at its start`,
    );
  }

  return {
    current: () => current,
    async refresh() {
      const note = await fetchNote(client, origin, '/-/federation/keys');
      const keys = openKeysNote(note, current ? current.root : originKey);
      if (current && logNameOf(keys) !== logNameOf(current)) {
        throw new SignatureError(
          `${origin} now names another log: ${logNameOf(keys)} instead of ${logNameOf(current)}`,
        );
      }
      if (!current || JSON.stringify(keys) !== JSON.stringify(current)) await writeDurably(path, note);
      current = keys;
      return keys;
    },
  };
}

function isSafeFirstVisit(origin: string): boolean {
  const { protocol, hostname } = new URL(origin);
  return protocol === 'https:' || isLoopbackHostname(hostname);
}
