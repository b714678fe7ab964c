/**
 * Tarballs on their way from the upstream: one flight per pin, verified whole before it counts as stored, measured then.
 * A pin for which the upstream keeps sending wrong bytes waits longer and longer.
 */
import { IntegrityError, UpstreamError } from '../../core/errors.ts';
import { Holds } from '../../core/holds.ts';
import { formatPinned, type PinnedHash } from '../../core/integrity.ts';
import { TARBALL_BYTES_MAX } from '../../core/limits.ts';
import { versionKey } from '../../core/tables.ts';
import type { CacheBlobStore, StreamedBlob } from '../../io/blob-store.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { oneFlight } from '../../io/one-flight.ts';
import type { Upstream, UpstreamTarball } from '../../io/upstream.ts';
import type { Incidents } from '../learning/incidents.ts';
import type { Measuring } from './measuring.ts';
import { STREAM_BYTES_MIN, type Streaming, streamIn } from './stream-in.ts';

/** A tarball of the index: what pins it, and one version that has it. */
export type TarballRef = { readonly pinned: PinnedHash; readonly name: string; readonly version: string };

export type Downloads = {
  /**
   * Has the tarball stored, and answers with its sha512.
   * @throws IntegrityError, UpstreamError, UpstreamTimeoutError, TooLargeError, StorageFullError
   */
  fly(ref: TarballRef): Promise<string>;
  isFlying(pinned: PinnedHash): boolean;
  /** What can be read along of a flight; null if it turns out that nothing can, or if there is none. */
  streaming(pinned: PinnedHash): Promise<Streaming | null>;
  /** Resolves when no flight is under way. */
  idle(): Promise<void>;
};

const FAILED_MAX = 10_000;

export function createDownloads(deps: {
  metadata: MetadataStore;
  store: CacheBlobStore;
  upstream: Upstream;
  incidents: Incidents;
  measuring: Pick<Measuring, 'measure'>;
  /** Ms of a clock that never goes back. */
  now: () => number;
  step?: ((name: 'tarball:stored') => void) | undefined;
}): Downloads {
  const { metadata, store, upstream, incidents, measuring } = deps;
  const flights = new Map<string, Promise<string>>();
  // By the same key, what of a flight can be read along; null if it turns out that nothing can.
  const streams = new Map<string, PromiseWithResolvers<Streaming | null>>();
  // Pins whose last download failed: a body that breaks off says nothing, so whoever asks again is told the reason in words.
  const failed = new Set<string>();
  // Pins for which the upstream sends wrong bytes again and again: else each client would cause the download anew.
  const holds = new Holds();

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
      const stored = await receive(ref, answer);
      holds.succeeded(formatPinned(pinned));
      failed.delete(formatPinned(pinned));
      deps.step?.('tarball:stored');
      const measured = measuring.measure(pinned, stored);
      // By a weaker pin it is found again only through what was measured. For any other nobody need wait for the log: the
      // next hit tries again where this fails.
      if (pinned.algorithm === 'sha512') measured.catch(() => undefined);
      else await measured;
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

  function receive({ pinned, name, version }: TarballRef, { size, body }: UpstreamTarball): Promise<StreamedBlob> {
    const { algorithm, hex } = pinned;
    const key = formatPinned(pinned);
    const from = `the upstream for ${name}@${version}`;
    const begun = streams.get(key);
    if (algorithm !== 'sha512' || size === null || size < STREAM_BYTES_MIN || failed.has(key)) {
      begun?.resolve(null);
      return store.putStream({ algorithm, hex }, body, { maxBytes: TARBALL_BYTES_MAX, keyAlgorithm: 'sha512', from });
    }
    return streamIn(store, { algorithm, hex }, { size, body, from }, (streaming) => begun?.resolve(streaming));
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

  function reportWrongBytes({ name, version }: TarballRef, error: IntegrityError): Promise<void> {
    const detail = `the upstream sent bytes with ${error.actual} where ${error.expected} is pinned; nothing was stored`;
    return incidents.report([{ kind: 'wrong-bytes', subject: `${name}@${version}`, detail }]);
  }

  return {
    fly,
    isFlying: (pinned) => flights.has(formatPinned(pinned)),
    streaming: async (pinned) => (await streams.get(formatPinned(pinned))?.promise) ?? null,
    idle: async () => {
      await Promise.allSettled(flights.values());
    },
  };
}
