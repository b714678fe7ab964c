/**
 * The signed list of hosts as this mirror holds and serves it.
 *
 * Order: verify, compare serials, store (commit point), use. A list that is older than the one held is refused, whoever
 * sends it: going back would bring evicted hosts in again.
 */
import { join } from 'node:path';
import { ConflictError, SignatureError } from '../../core/errors.ts';
import { type HostsList, openHostsList } from '../../core/hosts-list.ts';
import { etagOf } from '../../core/http-semantics.ts';
import { logNameOf, type OriginKeys } from '../../core/keys-note.ts';
import { NOTE_BYTES_MAX } from '../../core/limits.ts';
import { readBounded, writeDurably } from '../../io/durable-file.ts';
import type { HttpClient } from '../../io/http-client.ts';
import { Serial } from '../../io/serial.ts';
import { fetchNote } from './ask-origin.ts';

const FILE = 'hosts.note';

export type HeldNote = { readonly list: HostsList; readonly note: Uint8Array; readonly etag: string };

export type HeldList = {
  current(): HeldNote | null;
  /**
   * Fetches the list of `origin` and takes it if it is newer. One after the other, so that no answer overtakes another.
   * @throws SignatureError or MalformedError for a list that is not to be believed, ConflictError for one that is older
   * than the one held, UpstreamError for none at all
   */
  refresh(keys: OriginKeys): Promise<void>;
};

/** @param keys the origin's keys as far as they are known: without them the stored list is left alone */
export async function openHeldList(options: {
  readonly dir: string;
  readonly origin: string;
  readonly client: HttpClient;
  readonly keys: OriginKeys | null;
}): Promise<HeldList> {
  const path = join(options.dir, FILE);
  const stored = await readBounded(path, NOTE_BYTES_MAX);
  let current = stored && options.keys && heldOrNull(stored, options.keys);

  const refreshes = new Serial();

  const take = async (keys: OriginKeys): Promise<void> => {
    const next = held(await fetchNote(options.client, options.origin, '/-/federation/hosts'), keys);
    if (next.etag === current?.etag) return;
    if (current && next.list.serial <= current.list.serial) {
      const [theirs, ours] = [next.list.serial, current.list.serial];
      throw new ConflictError(`${options.origin} sent list of hosts ${theirs} after ${ours}; the latter is kept`);
    }
    await writeDurably(path, next.note);
    current = next;
  };

  let waiting: Promise<void> | null = null;
  let wanted: OriginKeys;

  /** Whoever asks while others wait for their turn has the same one: an origin may tell of any number of new lists. */
  const refresh = (keys: OriginKeys): Promise<void> => {
    wanted = keys;
    waiting ??= refreshes.run(() => {
      waiting = null;
      return take(wanted);
    });
    return waiting;
  };

  return { current: () => current, refresh };
}

function held(note: Uint8Array, keys: OriginKeys): HeldNote {
  const list = openHostsList(note, keys.hosts, logNameOf(keys));
  return { list, note, etag: etagOf('hosts', Buffer.from(note).toString()) };
}

/** A stored list by a hosts key that was replaced since can't be checked any more, and is as good as none. */
function heldOrNull(note: Uint8Array, keys: OriginKeys): HeldNote | null {
  try {
    return held(note, keys);
  } catch (error) {
    if (error instanceof SignatureError) return null;
    throw error;
  }
}
