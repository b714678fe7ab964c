import { toHex } from '../../src/core/bytes.ts';
import { openCheckpoint } from '../../src/core/checkpoint.ts';
import { parseEntry } from '../../src/core/entry.ts';
import { checkConsistency, leafHash, proveConsistency, rootHash, type TreeHead } from '../../src/core/merkle.ts';
import { formatVkey } from '../../src/core/note.ts';
import { storedHashes } from '../../src/io/stored-tree.ts';
import { type LogDeps, openLog, type Published } from '../../src/origin/log/log.ts';
import type { NewEntry } from '../../src/origin/log/log-batch.ts';
import { exampleSigner } from './example-keys.ts';
import { MemoryBlobStore } from './memory-blob-store.ts';
import type { MemoryMetadataStore } from './memory-metadata-store.ts';

export const LOG_NAME = 'log.example';
export const LOG_KEY = exampleSigner(LOG_NAME, 'example log key');
export const LOG_VKEY = formatVkey(LOG_NAME, LOG_KEY.publicKey);

/** A log with an example key and without pauses, over the given store. */
export function openTestLog(metadata: LogDeps['metadata'], more: Partial<LogDeps> = {}) {
  const common = { blobs: new MemoryBlobStore(), logKey: LOG_KEY, now: () => 1, checkpointIntervalMs: 0 };
  return openLog({ metadata, ...common, ...more });
}

/** An entry that needs no blob, told from others by its number. */
export function numbered(number: number): NewEntry {
  return { kind: 'host-evict', host: '0123456789abcdef', reason: `reason ${number}` };
}

/** Checks a published checkpoint with nothing but the public key and the entries; gives back its size and root. */
export async function verified({ note }: Published, metadata: LogDeps['metadata']): Promise<TreeHead> {
  const { checkpoint } = openCheckpoint(note, [LOG_VKEY], LOG_NAME);
  const { size, root } = checkpoint;
  const entries = await metadata.entries(0, size);
  const expected = toHex(rootHash(entries.map(leafHash)));
  if (toHex(root) !== expected) throw new Error(`root ${toHex(root)} of ${size} entries, expected ${expected}`);
  const last = parseEntry(entries.at(-1) as Uint8Array).kind;
  if (last !== 'commit') throw new Error(`the checkpoint of size ${size} ends in ${last}`);
  return { size, root };
}

/** That the tree at `old` is a prefix of the one at `head`, by a proof made from the stored tiles. */
export async function assertGrown(metadata: Pick<MemoryMetadataStore, 'head' | 'tile'>, old: TreeHead, head: TreeHead) {
  const proof = await proveConsistency(old.size, head.size, storedHashes(metadata, head.size));
  checkConsistency(proof, old, head);
}
