/**
 * Tarballs at the origin: fetched from the upstream when first asked for (download-tarball.ts), verified whole before a
 * byte of them is served (but see `begin`), measured once (measuring.ts).
 */

import { WithdrawnError } from '../../core/errors.ts';
import { formatPinned, type PinnedHash, parsePinned } from '../../core/integrity.ts';
import type { Measured } from '../../core/measured.ts';
import { type MeasuredRow, versionKey } from '../../core/tables.ts';
import type { ReadableBlob } from '../../io/blob-answer.ts';
import type { BlobStore, ByteRange, CacheBlobStore } from '../../io/blob-store.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { BlobSender, type SentBlob } from '../../io/send-blob.ts';
import type { Upstream } from '../../io/upstream.ts';
import type { Incidents } from '../learning/incidents.ts';
import type { Log } from '../log/log.ts';
import { createDownloads, type TarballRef } from './download-tarball.ts';
import { createMeasuring, type MeasuringStep } from './measuring.ts';
import { versionsPinning } from './pinned-versions.ts';
import type { Streaming } from './stream-in.ts';

/** A small tarball that was asked for lately. `size` in bytes. */
export type RecentTarball = { sha512: string; size: number; name: string; version: string };

export type Tarballs = {
  /** What an index hash stands for; null for a hash that the index doesn't know. */
  find(sha512: string): Promise<TarballRef | null>;
  /** The sha512 by which a pinned tarball is stored; null while a weaker pin was not measured. */
  sha512Of(pinned: PinnedHash): Promise<string | null>;
  /**
   * A tarball by its sha512, for hosts and for clients that a host sent back: fetched first if it must be; null for a hash
   * that the index doesn't know.
   * @throws WithdrawnError, and as `fetch`
   */
  byHash(sha512: string): Promise<ReadableBlob | null>;
  /** What a tarball of the index was measured to be, by its sha512; null while it isn't. */
  measured(sha512: string): Promise<Measured | null>;
  /** Stored, or streaming in from the upstream. */
  isHeld(pinned: PinnedHash): Promise<boolean>;
  /**
   * Sees to it that the tarball is stored, and answers with its sha512.
   * @throws IntegrityError, UpstreamError, UpstreamTimeoutError, TooLargeError, StorageFullError
   */
  fetch(ref: TarballRef): Promise<string>;
  /**
   * The same for a client that verifies the tarball itself: a large one that is on its way, or null once it is stored.
   * @throws as `fetch`
   */
  begin(ref: TarballRef): Promise<Streaming | null>;
  /** A range of a stored tarball of this size, to be sent. */
  send(sha512: string, size: number, range: ByteRange): Promise<SentBlob>;
  size(sha512: string): Promise<number | null>;
  /** A tarball that was asked for lately and is stored, with its size: for looking at hosts. */
  recent(): Promise<RecentTarball | null>;
  /** Resolves when no fetch and no measuring is under way. */
  idle(): Promise<void>;
};

/** How many tarballs are remembered for looking at hosts, and how large they may be. */
const RECENT_MAX = 64;
const RECENT_BYTES_MAX = 256 * 1024;

export function createTarballs(deps: {
  metadata: MetadataStore;
  blobs: BlobStore;
  store: CacheBlobStore;
  log: Log;
  upstream: Upstream;
  incidents: Incidents;
  random: () => number;
  /** Ms of a clock that never goes back. */
  now: () => number;
  step?: (name: 'tarball:stored' | MeasuringStep) => void;
}): Tarballs {
  const { metadata, store } = deps;
  const sender = new BlobSender(store);
  const measuring = createMeasuring(deps);
  const downloads = createDownloads({ ...deps, measuring });
  const recent = new Map<string, RecentTarball>();

  async function remember(sha512: string, { name, version }: TarballRef): Promise<void> {
    const size = recent.get(sha512)?.size ?? (await store.size({ algorithm: 'sha512', hex: sha512 }));
    if (size === null || size > RECENT_BYTES_MAX) return;
    recent.delete(sha512);
    recent.set(sha512, { sha512, size, name, version });
    if (recent.size > RECENT_MAX) recent.delete(recent.keys().next().value as string);
  }

  const sha512Of = async (pinned: PinnedHash): Promise<string | null> => {
    if (pinned.algorithm === 'sha512') return pinned.hex;
    const row: MeasuredRow | null = await metadata.get('measured', formatPinned(pinned));
    return row?.sha512 ?? null;
  };

  const isStored = async (sha512: string | null): Promise<boolean> =>
    sha512 !== null && store.has({ algorithm: 'sha512', hex: sha512 });

  async function find(sha512: string): Promise<TarballRef | null> {
    const own = await versionWith({ algorithm: 'sha512', hex: sha512 });
    if (own) return own;
    const content = await metadata.get('content', sha512);
    return content && versionWith(parsePinned(content.pinned));
  }

  /**
   * A version that pins the hash; a withdrawn one only if there is no other: else whoever publishes a copy of a package
   * and withdraws it would withdraw the package.
   */
  async function versionWith(pinned: PinnedHash): Promise<TarballRef | null> {
    let first: TarballRef | null = null;
    for await (const { name, version, isWithdrawn } of versionsPinning(metadata, formatPinned(pinned))) {
      if (!isWithdrawn) return { pinned, name, version };
      first ??= { pinned, name, version };
    }
    return first;
  }

  /** @throws WithdrawnError */
  async function refuseWithdrawn(ref: TarballRef, sha512: string): Promise<void> {
    const row = await metadata.get('version', versionKey(ref.name, ref.version));
    if (row?.state !== 'withdrawn') return;
    // No host can get it any more, so none is to be judged by it.
    recent.delete(sha512);
    throw new WithdrawnError({ subject: `${ref.name}@${ref.version}`, reason: row.reason });
  }

  async function fetch(ref: TarballRef): Promise<string> {
    const known = await sha512Of(ref.pinned);
    const stored = known !== null && (await isStored(known));
    const sha512 = stored ? known : await downloads.fly(ref);
    if (stored) measuring.measureStored(ref.pinned, known).catch(() => undefined);
    await remember(sha512, ref);
    return sha512;
  }

  return {
    sha512Of,
    find,
    async byHash(sha512) {
      const ref = await find(sha512);
      if (!ref) return null;
      await refuseWithdrawn(ref, sha512);
      await fetch(ref);
      const id = { algorithm: 'sha512', hex: sha512 } as const;
      const size = await store.size(id);
      return size === null
        ? null
        : { size, open: async (range) => (await store.open(id, range))?.body ?? goneWhileServed(sha512) };
    },
    async measured(sha512) {
      const ref = await find(sha512);
      const row = ref && (await metadata.get('measured', formatPinned(ref.pinned)));
      return ref && row?.sha512 === sha512 ? { pinned: ref.pinned, ...row } : null;
    },
    async isHeld(pinned) {
      return downloads.isFlying(pinned) || isStored(await sha512Of(pinned));
    },
    fetch,
    async begin(ref) {
      if (await isStored(await sha512Of(ref.pinned))) return null;
      const landing = downloads.fly(ref).then((sha512) => remember(sha512, ref));
      // Whoever reads along is told by the body.
      landing.catch(() => undefined);
      const streaming = await downloads.streaming(ref.pinned);
      if (streaming) return streaming;
      await landing;
      return null;
    },
    async send(sha512, size, range) {
      return (await sender.open({ algorithm: 'sha512', hex: sha512 }, size, range)) ?? goneWhileServed(sha512);
    },
    size: (sha512) => store.size({ algorithm: 'sha512', hex: sha512 }),
    async recent() {
      while (recent.size > 0) {
        const all = [...recent.values()];
        const picked = all[Math.floor(deps.random() * all.length)] as RecentTarball;
        if (await isStored(picked.sha512)) return picked;
        // A host that lacks it would depend on the upstream, whose failure is not the host's.
        recent.delete(picked.sha512);
      }
      return null;
    },
    async idle() {
      await Promise.all([downloads.idle(), measuring.idle()]);
    },
  };
}

/** Removed between the look at it and the reading of it. */
function goneWhileServed(sha512: string): never {
  throw new Error(`the tarball sha512 ${sha512} left the store while it was served`);
}
