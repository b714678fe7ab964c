/**
 * What this mirror believes of its origin's keys. The first note is believed if the operator gave a key, or if nobody else
 * can have answered (https, loopback); from then on only notes of the same root key and log are, whoever hands them over.
 *
 * Order: verify, store (commit point), use. A crash before the commit point leaves the note that was believed before.
 */
import { join } from 'node:path';
import { SignatureError, UsageError } from '../../core/errors.ts';
import { isLoopbackHostname } from '../../core/ip.ts';
import { logNameOf, type OriginKeys, openKeysNote } from '../../core/keys-note.ts';
import { NOTE_BYTES_MAX } from '../../core/limits.ts';
import { parseVkey } from '../../core/note.ts';
import { readBounded, writeDurably } from '../../io/durable-file.ts';
import type { HttpClient } from '../../io/http-client.ts';
import { fetchNote } from './ask-origin.ts';

/** In the data directory: the origin's note of its keys that is believed. */
export const ORIGIN_KEYS_FILE = 'origin-keys.note';

export type OriginTrust = {
  /** The keys that are believed now, or null before the first. */
  current(): OriginKeys | null;
  /** The note that says so, for others. */
  note(): Uint8Array | null;
  /**
   * Asks the origin for its keys and believes them if it may.
   * @throws SignatureError for keys that must not be believed; UpstreamError if the origin can't be asked
   */
  refresh(): Promise<OriginKeys>;
  /**
   * The same from anybody who hands over the origin's note. Without a key to compare it with only the origin itself is
   * believed.
   */
  learn(source: { readonly url: string; keys(): Promise<Uint8Array> }): Promise<OriginKeys>;
};

/**
 * @param options `originKey`: vkey of the origin's log key or root key, from its operator; null trusts the first visit.
 * `isRetired`: whether the log says that another key has taken a log key's place, which no note can undo
 * @throws UsageError if there is no way to know whose the first answer is; SignatureError if the stored keys don't fit
 */
export async function openOriginTrust(options: {
  readonly dir: string;
  readonly origin: string;
  readonly originKey: string | null;
  readonly client: HttpClient;
  readonly isRetired?: (logVkey: string) => Promise<boolean>;
}): Promise<OriginTrust> {
  const { dir, origin, originKey, client, isRetired = async () => false } = options;
  const path = join(dir, ORIGIN_KEYS_FILE);
  let note = await readBounded(path, NOTE_BYTES_MAX);
  // The operator's key may be a log key that was replaced since this mirror first believed it.
  const wanted = originKey !== null && (await isRetired(originKey)) ? null : originKey;
  let current = note && openStored(note, wanted);
  let isToBeShown = current !== null && wanted !== null && !isKeyOf(current, wanted);
  if (!current && originKey === null && !isSafeFirstVisit(origin)) {
    throw new UsageError(
      `${origin} is neither https nor this machine, so anybody could answer; give --origin-key with the verifier key that the origin prints at its start`,
    );
  }

  async function take(given: Uint8Array, source: string): Promise<OriginKeys> {
    const keys = openKeysNote(given, current ? current.root : originKey);
    if (isToBeShown) openKeysNote(given, wanted);
    if (current && logNameOf(keys) !== logNameOf(current)) {
      throw new SignatureError(`${source} now names another log: ${logNameOf(keys)} instead of ${logNameOf(current)}`);
    }
    if (await isRetired(keys.log)) {
      throw new SignatureError(`${source} names a log key that the log says was replaced: ${keys.log}`);
    }
    if (!current || JSON.stringify(keys) !== JSON.stringify(current)) await writeDurably(path, given);
    [current, note, isToBeShown] = [keys, given, false];
    return keys;
  }

  return {
    current: () => current,
    note: () => note,
    refresh: async () => take(await fetchNote(client, origin, '/-/federation/keys'), origin),
    learn: async (source) => {
      if (!current && originKey === null && source.url !== origin) {
        throw new SignatureError(
          `${source.url} can't be believed before the origin's keys are known; give --origin-key`,
        );
      }
      return take(await source.keys(), source.url);
    },
  };
}

const isKeyOf = ({ log, root }: OriginKeys, vkey: string): boolean => vkey === log || vkey === root;

/** The operator's key may also be of the same log and newer than this note, which the next note has to show then. */
function openStored(note: Uint8Array, wanted: string | null): OriginKeys {
  const keys = openKeysNote(note, null);
  const names = [keys.log, keys.root].map((vkey) => parseVkey(vkey).name);
  return wanted !== null && names.includes(parseVkey(wanted).name) ? keys : openKeysNote(note, wanted);
}

function isSafeFirstVisit(origin: string): boolean {
  const { protocol, hostname } = new URL(origin);
  return protocol === 'https:' || isLoopbackHostname(hostname);
}
