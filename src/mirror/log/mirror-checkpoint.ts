/** The checkpoint that a mirror serves, as its data directory has it: opened anew, for whoever checks what is stored. */
import { join } from 'node:path';
import { openCheckpoint } from '../../core/checkpoint.ts';
import { logNameOf, type OriginKeys, openKeysNote } from '../../core/keys-note.ts';
import { NOTE_BYTES_MAX } from '../../core/limits.ts';
import { checkLogKey } from '../../core/log-key.ts';
import { readBounded } from '../../io/durable-file.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import type { PublishedHead } from '../../io/verify-stores.ts';
import { ORIGIN_KEYS_FILE } from '../membership/origin-keys.ts';
import { SERVED_SETTING } from './held-log.ts';

/**
 * The checkpoint that a mirror serves, if a key that it believes its origin to have had signed it.
 * @param dir its data directory
 */
export function mirrorCheckpoint(dir: string, metadata: Pick<MetadataStore, 'get' | 'scan'>): PublishedHead {
  return async () => {
    const row = await metadata.get('setting', SERVED_SETTING);
    if (row === null) return null;
    const note = await readBounded(join(dir, ORIGIN_KEYS_FILE), NOTE_BYTES_MAX);
    if (note === null) throw new Error(`a checkpoint is stored, but no ${ORIGIN_KEYS_FILE} that says whose it is`);
    const keys = openKeysNote(note, null);
    return openCheckpoint(row.value, await logKeys(keys, metadata), logNameOf(keys)).checkpoint;
  };
}

/** The log's key, and those that came before it by the root key's word: what is served may be older than the change. */
async function logKeys({ log, root }: OriginKeys, metadata: Pick<MetadataStore, 'scan'>): Promise<string[]> {
  const changes = await metadata.scan('log-key', '');
  return [
    log,
    ...changes.flatMap(({ key, row: { previous, signature } }) => {
      checkLogKey({ previous, key, signature }, root);
      return [previous, key];
    }),
  ];
}
