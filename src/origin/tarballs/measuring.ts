/**
 * Measuring: what the bytes of a stored tarball were seen to be goes into the journal, once per pin.
 *
 * Order: the chunk list, then the `measured` entry (the commit point). A crash before it leaves a tarball that is measured
 * when it is asked for again.
 */
import { toHex } from '../../core/bytes.ts';
import { chunkRoot } from '../../core/chunks.ts';
import { LogHaltedError } from '../../core/errors.ts';
import { sha256Hex } from '../../core/hash.ts';
import { formatPinned, type PinnedHash } from '../../core/integrity.ts';
import type { BlobStore, CacheBlobStore, StreamedBlob } from '../../io/blob-store.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { oneFlight } from '../../io/one-flight.ts';
import type { Log } from '../log/log.ts';

export type Measuring = {
  /** Measures what has just been stored, unless it is known. */
  measure(pinned: PinnedHash, stored: StreamedBlob): Promise<void>;
  /** Measures a tarball whose measuring a crash or a full disk has prevented. */
  measureStored(pinned: PinnedHash, sha512: string): Promise<void>;
  /** Resolves when no measuring is under way. */
  idle(): Promise<void>;
};

export type MeasuringStep = 'tarball:chunks-stored' | 'tarball:measured';

const MEASURED_MAX = 100_000;

export function createMeasuring(deps: {
  metadata: MetadataStore;
  blobs: BlobStore;
  store: CacheBlobStore;
  log: Log;
  step?: ((name: MeasuringStep) => void) | undefined;
}): Measuring {
  const { metadata, blobs, store, log } = deps;
  const measuring = new Map<string, Promise<void>>();
  // Pins that are known to be measured, so that a hit needs no look at the table.
  const measured = new Set<string>();

  /** One flight per pin: until it has landed, every hit on the tarball comes here. */
  function fly(pinned: PinnedHash, read: () => Promise<StreamedBlob | null>): Promise<void> {
    const key = formatPinned(pinned);
    return oneFlight(measuring, key, async () => {
      const stored = await read();
      if (!stored) return;
      if (!(await metadata.get('measured', key)) && !(await tryJournal(pinned, stored))) return;
      measured.add(key);
      if (measured.size > MEASURED_MAX) measured.clear();
    });
  }

  /** A halted log is no reason to keep verified bytes from anybody: false then, and the next hit tries again. */
  async function tryJournal(pinned: PinnedHash, stored: StreamedBlob): Promise<boolean> {
    try {
      await journalMeasured(pinned, stored);
      return true;
    } catch (error) {
      if (error instanceof LogHaltedError) return false;
      throw error;
    }
  }

  async function journalMeasured(pinned: PinnedHash, stored: StreamedBlob): Promise<void> {
    const list = sha256Hex(stored.chunks);
    await blobs.putMany([{ id: { algorithm: 'sha256', hex: list }, bytes: stored.chunks }]);
    deps.step?.('tarball:chunks-stored');
    const { sha512, size } = stored;
    const chunks = toHex(chunkRoot(stored.chunks));
    await log.append([{ kind: 'measured', pinned, sha512, size, chunks, list }], 'soon');
    deps.step?.('tarball:measured');
  }

  async function readBack(sha512: string): Promise<StreamedBlob | null> {
    const id = { algorithm: 'sha512', hex: sha512 } as const;
    const [chunks, size] = [await store.chunks(id), await store.size(id)];
    return chunks && size !== null ? { id, size, sha512, chunks } : null;
  }

  return {
    measure: (pinned, stored) => fly(pinned, async () => stored),
    measureStored: async (pinned, sha512) => {
      if (!measured.has(formatPinned(pinned))) await fly(pinned, () => readBack(sha512));
    },
    idle: async () => {
      await Promise.allSettled(measuring.values());
    },
  };
}
