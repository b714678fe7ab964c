/**
 * Tarballs at the origin: fetched from the upstream when first asked for, one flight per hash, verified whole before a
 * byte of them is served (but see `begin`), measured once.
 *
 * Order: the tarball is durable in the store, then its chunk list, then the `measured` entry (the commit point). A crash
 * before it leaves a tarball that is measured when it is fetched or asked for again.
 */

import { toHex } from '../core/bytes.ts';
import { chunkRoot } from '../core/chunks.ts';
import { IntegrityError, LogHaltedError, UpstreamError, WithdrawnError } from '../core/errors.ts';
import { sha256Hex } from '../core/hash.ts';
import { Holds } from '../core/holds.ts';
import { formatPinned, type PinnedHash, parsePinned } from '../core/integrity.ts';
import { TARBALL_BYTES_MAX } from '../core/limits.ts';
import type { Measured } from '../core/measured.ts';
import { type MeasuredRow, pinPrefix, versionKey } from '../core/tables.ts';
import type { ReadableBlob } from '../io/blob-answer.ts';
import type { BlobStore, ByteRange, CacheBlobStore, StreamedBlob } from '../io/blob-store.ts';
import type { MetadataStore } from '../io/metadata-store.ts';
import { BlobSender, type SentBlob } from '../io/send-blob.ts';
import type { Upstream, UpstreamTarball } from '../io/upstream.ts';
import type { Incidents } from './incidents.ts';
import type { Log } from './log.ts';
import { STREAM_BYTES_MIN, type Streaming, streamIn } from './stream-in.ts';

/** A tarball of the index: what pins it, and one version that has it. */
export type TarballRef = { readonly pinned: PinnedHash; readonly name: string; readonly version: string };

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
const MEASURED_MAX = 100_000;
const FAILED_MAX = 10_000;
/** Versions with the same bytes that are looked at. */
const SHARED_MAX = 1_000;

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
  step?: (name: 'tarball:stored' | 'tarball:chunks-stored' | 'tarball:measured') => void;
}): Tarballs {
  const { metadata, blobs, store, log, upstream, incidents } = deps;
  const sender = new BlobSender(store);
  const flights = new Map<string, Promise<string>>();
  // By the same key, what of a flight can be read along; null if it turns out that nothing can.
  const streams = new Map<string, PromiseWithResolvers<Streaming | null>>();
  // Pins whose last download failed: a body that breaks off says nothing, so whoever asks again is told the reason in words.
  const failed = new Set<string>();
  const measuring = new Map<string, Promise<void>>();
  const recent = new Map<string, RecentTarball>();
  // Pins for which the upstream sends wrong bytes again and again: else each client would cause the download anew.
  const holds = new Holds();
  // By pinned hash; the index itself keeps only the version that had a hash first.
  // Pins that are known to be measured, so that a hit needs no look at the table.
  const measured = new Set<string>();

  /** A local table: after a rebuild from the journal it fills again as packages are asked for. */
  async function urlOf({ name, version }: TarballRef): Promise<string> {
    const row = await metadata.get('tarball-url', versionKey(name, version));
    if (row) return row.url;
    const reason = 'where the upstream keeps it is not known yet; ask for the package first';
    throw new UpstreamError({ what: `tarball of ${name}@${version}`, reason });
  }

  async function download(ref: TarballRef): Promise<string> {
    const { pinned } = ref;
    refuseHeld(ref);
    const url = await urlOf(ref);
    try {
      const answer = await upstream.tarball(url);
      if (!answer)
        throw new UpstreamError({ what: `${ref.name}@${ref.version}`, reason: 'the upstream has no such tarball' });
      const stored = await receive(pinned, answer);
      holds.succeeded(formatPinned(pinned));
      failed.delete(formatPinned(pinned));
      deps.step?.('tarball:stored');
      await measure(pinned, stored);
      return stored.sha512;
    } catch (error) {
      noteFailed(pinned);
      if (error instanceof IntegrityError) {
        holds.failed(formatPinned(pinned), deps.now());
        await reportWrongBytes(ref, error);
      }
      throw error;
    }
  }

  function noteFailed(pinned: PinnedHash): void {
    failed.add(formatPinned(pinned));
    if (failed.size > FAILED_MAX) failed.clear();
  }

  function receive(pinned: PinnedHash, { size, body }: UpstreamTarball): Promise<StreamedBlob> {
    const { algorithm, hex } = pinned;
    const key = formatPinned(pinned);
    const begun = streams.get(key);
    if (algorithm !== 'sha512' || size === null || size < STREAM_BYTES_MIN || failed.has(key)) {
      begun?.resolve(null);
      return store.putStream({ algorithm, hex }, body, { maxBytes: TARBALL_BYTES_MAX, keyAlgorithm: 'sha512' });
    }
    return streamIn(store, { algorithm, hex }, { size, body }, (streaming) => begun?.resolve(streaming));
  }

  /** One flight per pin, and what can be read along of it as long as it lasts. */
  function fly(ref: TarballRef): Promise<string> {
    const key = formatPinned(ref.pinned);
    return oneFlight(flights, key, async () => {
      const begun = Promise.withResolvers<Streaming | null>();
      streams.set(key, begun);
      try {
        return await download(ref);
      } finally {
        begun.resolve(null);
        streams.delete(key);
      }
    });
  }

  /** @throws UpstreamError */
  function refuseHeld({ pinned, name, version }: TarballRef): void {
    const left = holds.left(formatPinned(pinned), deps.now());
    if (left === 0) return;
    const retryAfterSeconds = Math.ceil(left / 1000);
    const reason = `the upstream keeps sending wrong bytes; it is asked again in ${retryAfterSeconds} s at the earliest`;
    throw new UpstreamError({ what: `tarball of ${name}@${version}`, reason, retryAfterSeconds });
  }

  /** One flight per pin: until it has landed, every hit on the tarball comes here. */
  function measure(pinned: PinnedHash, stored: StreamedBlob): Promise<void> {
    const key = formatPinned(pinned);
    return oneFlight(measuring, key, async () => {
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
    await log.append([{ kind: 'measured', pinned, sha512, size, chunks, list }]);
    deps.step?.('tarball:measured');
  }

  /** For a tarball whose measuring a crash or a full disk has prevented. */
  async function measureStored(pinned: PinnedHash, sha512: string): Promise<void> {
    const id = { algorithm: 'sha512', hex: sha512 } as const;
    const [chunks, size] = [await store.chunks(id), await store.size(id)];
    if (chunks && size !== null) await measure(pinned, { id, size, sha512, chunks });
  }

  function reportWrongBytes({ name, version }: TarballRef, error: IntegrityError): Promise<void> {
    const detail = `the upstream sent bytes with ${error.actual} where ${error.expected} is pinned; nothing was stored`;
    return incidents.report([{ kind: 'wrong-bytes', subject: `${name}@${version}`, detail }]);
  }

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
    const rows = await metadata.scan('pinned', pinPrefix(formatPinned(pinned)), { limit: SHARED_MAX });
    const refs = rows.map(({ row }) => ({ pinned, ...row }));
    for (const ref of refs) if ((await rowOf(ref))?.state !== 'withdrawn') return ref;
    return refs[0] ?? null;
  }

  /** @throws WithdrawnError */
  async function refuseWithdrawn(ref: TarballRef, sha512: string): Promise<void> {
    const row = await rowOf(ref);
    if (row?.state !== 'withdrawn') return;
    // No host can get it any more, so none is to be judged by it.
    recent.delete(sha512);
    throw new WithdrawnError({ subject: `${ref.name}@${ref.version}`, reason: row.reason });
  }

  const rowOf = ({ name, version }: TarballRef) => metadata.get('version', versionKey(name, version));

  async function fetch(ref: TarballRef): Promise<string> {
    const known = await sha512Of(ref.pinned);
    const stored = known !== null && (await isStored(known));
    const sha512 = stored ? known : await fly(ref);
    if (stored && !measured.has(formatPinned(ref.pinned))) await measureStored(ref.pinned, known);
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
      return flights.has(formatPinned(pinned)) || isStored(await sha512Of(pinned));
    },
    fetch,
    async begin(ref) {
      if (await isStored(await sha512Of(ref.pinned))) return null;
      const landing = fly(ref).then((sha512) => remember(sha512, ref));
      // Whoever reads along is told by the body.
      landing.catch(() => undefined);
      const streaming = await streams.get(formatPinned(ref.pinned))?.promise;
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
      await Promise.allSettled([...flights.values(), ...measuring.values()]);
    },
  };
}

/** The flight that is under way for the key, or a new one. */
function oneFlight<T>(flights: Map<string, Promise<T>>, key: string, task: () => Promise<T>): Promise<T> {
  const running = flights.get(key);
  if (running) return running;
  const flight = task().finally(() => flights.delete(key));
  flights.set(key, flight);
  return flight;
}

/** Removed between the look at it and the reading of it. */
function goneWhileServed(sha512: string): never {
  throw new Error(`the tarball sha512 ${sha512} left the store while it was served`);
}
