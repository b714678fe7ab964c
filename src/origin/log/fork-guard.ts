/**
 * Whether the log is still the only one that its key has signed. A key that was replaced no longer counts: the root key
 * has said where its history ends, and whoever has stolen it must not be able to halt the log that was given another.
 *
 * An origin whose data directory was restored from a backup, or that runs in two places, would sign a second history.
 * It can't see that by itself, but those who follow it can: they show it the checkpoints that they hold. One that it
 * signed and does not hold means that it must not sign anything more.
 *
 * Order: halt, then keep the note as evidence. A crash in between forgets it until it is shown again; evidence that is
 * kept is judged anew at each start, so that an origin goes on by itself once the right data are back.
 */
import { join } from 'node:path';
import { equal, toHex } from '../../core/bytes.ts';
import { type Checkpoint, openCheckpoint } from '../../core/checkpoint.ts';
import { LogHaltedError, MalformedError, SignatureError } from '../../core/errors.ts';
import { sha256Hex } from '../../core/hash.ts';
import { treeHash } from '../../core/merkle.ts';
import { createEvidenceFolder, type EvidenceFolder } from '../../io/evidence-folder.ts';
import type { OriginKeys } from '../../io/key-file.ts';
import type { Logger } from '../../io/logger.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { storedHashes } from '../../io/stored-tree.ts';

export type ForkGuard = {
  /** @throws LogHaltedError once a checkpoint was seen that contradicts this log */
  mustAgree(): void;
  /**
   * Judges a note that someone shows. Only one signed by this log's key counts; all others are passed over.
   * Rejects if the store can't be read.
   */
  seen(note: Uint8Array | string): Promise<void>;
  /** Why the log is halted, for people; null while all is well. */
  halted(): string | null;
};

/** For a log that nobody shows anything. */
export const NO_GUARD: Pick<ForkGuard, 'mustAgree'> = { mustAgree: () => undefined };

export type ForkGuardDeps = {
  readonly metadata: Pick<MetadataStore, 'head' | 'tile'>;
  /** The key that signs the log now. */
  readonly vkey: string;
  readonly logName: string;
  readonly evidence: EvidenceFolder;
  readonly logger: Logger;
};

/** A guard over what an origin's data directory holds. */
export async function openOwnGuard(deps: {
  readonly dir: string;
  readonly metadata: MetadataStore;
  readonly keys: Pick<OriginKeys, 'log' | 'logName'>;
  readonly logger: Logger;
}): Promise<ForkGuard> {
  const { dir, metadata, keys, logger } = deps;
  const evidence = createEvidenceFolder(join(dir, 'evidence'), '.note');
  return openForkGuard({ metadata, vkey: keys.log.vkey, logName: keys.logName, evidence, logger });
}

/** The key that signs the log now, and all that did before. */
export async function everyLogKey(metadata: Pick<MetadataStore, 'scan'>, vkey: string): Promise<string[]> {
  const replaced = await metadata.scan('log-key', '');
  return [...new Set([vkey, ...replaced.flatMap(({ key, row }) => [key, row.previous])])];
}

/** Checkpoints that were found to be ours, so that showing the same ones again costs nothing. */
const AGREED_MAX = 1_000;

/** @returns the guard, after it has judged what is kept from before */
export async function openForkGuard(deps: ForkGuardDeps): Promise<ForkGuard> {
  const { metadata, vkey, logName, evidence, logger } = deps;
  const agreed = new Set<string>();
  let halted: string | null = null;

  /** What the checkpoint contradicts, or null if it is of this log's history. */
  async function contradictionOf({ size, root }: Checkpoint): Promise<string | null> {
    const head = await metadata.head();
    if (size > head.size) return `signed at ${size} entries, of which ${head.size} are here`;
    const own = size === head.size ? head.root : await treeHash(size, storedHashes(metadata, head.size));
    return equal(own, root) ? null : `signed at ${size} entries with another root than they have here`;
  }

  async function judge(note: Uint8Array | string): Promise<void> {
    const checkpoint = tryOpen(note, vkey, logName);
    if (!checkpoint) return;
    const key = `${checkpoint.size} ${toHex(checkpoint.root)}`;
    if (agreed.has(key)) return;
    const contradiction = await contradictionOf(checkpoint);
    if (contradiction === null) {
      if (agreed.size >= AGREED_MAX) agreed.clear();
      agreed.add(key);
      return;
    }
    const isFirst = halted === null;
    halted ??= contradiction;
    if (!isFirst) return;
    const path = await evidence.keep(
      `checkpoint-${checkpoint.size}-${sha256Hex(checkpoint.root).slice(0, 16)}.note`,
      note,
    );
    logger.fatal({ contradiction, evidence: path }, 'the log is halted: its key has signed another history');
  }

  for (const note of await evidence.all()) await judge(note);
  return {
    mustAgree() {
      if (halted !== null) throw new LogHaltedError(halted);
    },
    seen: judge,
    halted: () => halted,
  };
}

/** The checkpoint, if this log's key signed it. */
function tryOpen(note: Uint8Array | string, vkey: string, logName: string): Checkpoint | null {
  try {
    return openCheckpoint(note, [vkey], logName).checkpoint;
  } catch (error) {
    if (error instanceof MalformedError || error instanceof SignatureError) return null;
    throw error;
  }
}
