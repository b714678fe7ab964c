import type { TestContext } from 'node:test';
import { toHex } from '../../src/core/bytes.ts';
import { ChunkHasher, chunkRoot } from '../../src/core/chunks.ts';
import { makeDoor } from '../../src/core/door.ts';
import { sha256Hex, sha512Hex } from '../../src/core/hash.ts';
import type { Measured } from '../../src/core/measured.ts';
import { parseNpmRequest } from '../../src/core/npm-path.ts';
import { createForms } from '../../src/door/forms.ts';
import { createLogAnswers } from '../../src/door/log-answers.ts';
import { createHttpClient } from '../../src/io/http-client.ts';
import { createHttpServer, type Incoming, problemAnswer } from '../../src/io/http-server.ts';
import { type OriginKeys, openOriginKeys } from '../../src/io/key-file.ts';
import { createMetrics, type Metrics } from '../../src/io/metrics.ts';
import { createFederationRoutes } from '../../src/origin/federation-routes.ts';
import { createHosts, type Hosts } from '../../src/origin/hosts/hosts.ts';
import type { ProbeBlob } from '../../src/origin/hosts/probe.ts';
import { createGossip } from '../../src/origin/log/gossip.ts';
import { openLog } from '../../src/origin/log/log.ts';
import { LogLines } from './log-lines.ts';
import { MemoryBlobStore } from './memory-blob-store.ts';
import { MemoryMetadataStore } from './memory-metadata-store.ts';
import { tempFolder } from './temp-folder.ts';

/** The hosts' side of an origin on a loopback port: membership, feed, blobs; no packages. */
export type HostsOrigin = {
  readonly url: string;
  readonly port: number;
  /** Data directory, for a restart: only the keys are in it. */
  readonly data: string;
  readonly keys: OriginKeys;
  readonly hosts: Hosts;
  readonly log: LogLines;
  readonly metrics: Metrics;
  readonly store: MemoryMetadataStore;
  readonly blobs: MemoryBlobStore;
  /** What was asked for, as `<method> <path>`, in order. */
  readonly asked: string[];
  /** Tarballs that the index knows, by sha512. */
  readonly tarballs: Map<string, Uint8Array>;
  /** What the index says that tarballs were measured to be, by sha512. */
  readonly measured: Map<string, Measured>;
  /** Adds a tarball and answers with its sha512. */
  addTarball(bytes: Uint8Array, sha512?: string): string;
  /** Adds a tarball with its chunk hashes and answers with its sha512. */
  addMeasured(bytes: Uint8Array): Promise<string>;
  /** The next blobs are answered only when this is released. */
  holdBlobs(): () => void;
  /** The next blob stops in the middle, tells so, and goes on when it is let. */
  stopHalfway(): { readonly reached: Promise<void>; readonly goOn: () => void };
  close(): Promise<void>;
};

export type HostsOriginOptions = {
  readonly data?: string;
  readonly port?: number;
  readonly store?: MemoryMetadataStore;
  readonly doorUrls?: readonly string[];
  readonly allowPrivate?: boolean;
  readonly heartbeatSeconds?: number;
  readonly probeIntervalMs?: number;
  readonly now?: () => number;
  readonly monotonic?: () => number;
  readonly bytesPerNetwork?: number;
};

export async function startHostsOrigin(
  t: Pick<TestContext, 'after'>,
  options: HostsOriginOptions = {},
): Promise<HostsOrigin> {
  const { now = Date.now, allowPrivate = true } = options;
  const data = options.data ?? tempFolder();
  const keys = await openOriginKeys(data);
  const [log, metrics] = [new LogLines('origin'), createMetrics('origin')];
  const [store, blobs] = [options.store ?? new MemoryMetadataStore(), new MemoryBlobStore()];
  const theLog = await openLog({ metadata: store, blobs, logKey: keys.log, now, checkpointIntervalMs: 0 });
  const client = createHttpClient({ userAgent: 'test', allowPrivate });
  const tarballs = new Map<string, Uint8Array>();
  const measured = new Map<string, Measured>();
  const asked: string[] = [];
  const doors = (options.doorUrls ?? []).map((url) => makeDoor('redirect', url));
  let [port, held, budget] = [0, Promise.resolve(), options.bytesPerNetwork ?? 1e9];

  let middle = async (): Promise<void> => undefined;

  async function* halves(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    const half = Math.floor(bytes.length / 2);
    yield bytes.subarray(0, half);
    await middle();
    yield bytes.subarray(half);
  }

  const hosts = await createHosts({
    store,
    log: theLog,
    keys,
    doors: () => ({ doors, port }),
    allowPrivate,
    client,
    pickBlob: async () => pickOf(tarballs),
    logger: log.logger,
    metrics,
    now,
    heartbeatSeconds: options.heartbeatSeconds ?? 10,
    probeIntervalMs: options.probeIntervalMs ?? 60_000,
    ...(options.monotonic ? { monotonic: options.monotonic } : {}),
  });
  const federation = createFederationRoutes({
    hosts,
    keys,
    blobs,
    forms: createForms({ folder: tempFolder(), blobs, note: () => undefined }),
    openTarball: async (sha512) => {
      await held;
      const bytes = tarballs.get(sha512);
      if (!bytes) return null;
      return { size: bytes.length, open: async ({ start, end }) => halves(bytes.subarray(start, end)) };
    },
    measured: async (sha512) => measured.get(sha512) ?? null,
    spend: (_network, bytes) => {
      budget -= bytes;
      return budget >= 0;
    },
    avoid: () => undefined,
    logAnswers: createLogAnswers({ metadata: store, checkpoint: () => theLog.checkpoint()?.note ?? null }),
    gossip: createGossip({ log: theLog, guard: { seen: async () => undefined }, logger: log.logger }),
    metrics,
    now,
  });
  const handler = async (request: Incoming) => {
    asked.push(`${request.method} ${request.url}`);
    const npm = parseNpmRequest(request.method, request.url);
    if (npm.kind !== 'federation') return problemAnswer(404, 'not-found', 'only federation here');
    return federation(request, npm.path, npm.query);
  };
  const server = createHttpServer({
    role: 'origin',
    logger: log.logger,
    metrics,
    trustProxy: [],
    handler,
    drainMs: 1_000,
  });
  port = await server.listen('127.0.0.1', options.port ?? 0);
  await hosts.start();

  let closing: Promise<void> | null = null;
  const closeAll = async (): Promise<void> => {
    await server.close();
    await hosts.close();
    await client.close();
  };
  const close = (): Promise<void> => {
    closing ??= closeAll();
    return closing;
  };
  t.after(close);
  const addTarball = (bytes: Uint8Array, sha512 = sha512Hex(bytes)): string => {
    tarballs.set(sha512, bytes);
    return sha512;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    data,
    keys,
    hosts,
    log,
    metrics,
    store,
    blobs,
    asked,
    tarballs,
    measured,
    addTarball,
    async addMeasured(bytes) {
      const sha512 = addTarball(bytes);
      const chunks = new ChunkHasher().update(bytes).digest();
      const list = sha256Hex(chunks);
      await blobs.putMany([{ id: { algorithm: 'sha256', hex: list }, bytes: chunks }]);
      const pinned = { algorithm: 'sha512', hex: sha512 } as const;
      measured.set(sha512, { pinned, sha512, size: bytes.length, chunks: toHex(chunkRoot(chunks)), list });
      return sha512;
    },
    holdBlobs() {
      const released = Promise.withResolvers<void>();
      held = released.promise;
      return released.resolve;
    },
    stopHalfway() {
      const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      middle = () => {
        middle = async () => undefined;
        reached.resolve();
        return released.promise;
      };
      return { reached: reached.promise, goOn: released.resolve };
    },
    close,
  };
}

function pickOf(tarballs: Map<string, Uint8Array>): ProbeBlob | null {
  const [first] = tarballs;
  return first ? { sha512: first[0], size: first[1].length, name: 'alpha', version: '1.0.0' } : null;
}
