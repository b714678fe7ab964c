/** What a mirror is started with. */
import type { MirrorSettings } from '../core/role-config.ts';
import type { HttpClientOptions } from '../io/http-client.ts';
import type { Logger } from '../io/logger.ts';
import type { ScrubRate } from '../io/scrubber.ts';
import type { FetchTimes } from './blobs/pull-blob.ts';
import type { TombstoneStep } from './blobs/tombstones.ts';
import type { CosignerTimes } from './cosigning/cosigner.ts';
import type { HeldLogStep } from './log/held-log.ts';
import type { LogTimes } from './log/open-log.ts';
import type { RetryTimes } from './membership/membership.ts';
import type { LetGoStep } from './packages/kept-packages.ts';
import type { Pauses } from './withdrawals/withdrawals.ts';

export type MirrorConfig = MirrorSettings & {
  /** Default false: the host appears in the log and in the list of hosts. */
  readonly private?: boolean;
  /** Who runs it, for the origin's admin to read. */
  readonly operator?: string | null;
  /** CIDRs of proxies whose `X-Forwarded-For` is believed. */
  readonly trustProxy?: readonly string[];
  /**
   * Base URL of an organisation's own registry, kept by this mirror; null for a host of the public pool. A mirror with a
   * door serves its own people only: it does not apply as a host.
   */
  readonly door?: string | null;
  /** For how long what the origin said of a package is served without asking again; only with a door. */
  readonly freshnessMs?: number;
  /** Bytes of disk for what can be fetched again; null or left out: no bound. */
  readonly diskBudgetBytes?: number | null;
  /** Path of a C2SP tlog-policy that checkpoints must satisfy; null or left out: the log's signature is enough. */
  readonly policy?: string | null;
  /** Patterns of names whose packages are fetched ahead, with their tarballs; `*` for all. None by default. */
  readonly replicate?: readonly string[];
};

export type MirrorDeps = {
  readonly logger: Logger;
  /** Name and version of this software, such as `open-registry/0.1.0`. */
  readonly software: string;
  /** Proxies and certificates. An operator names its own origin and peers, so private addresses are allowed. */
  readonly http?: Partial<HttpClientOptions>;
  /** Unix ms. */
  readonly now?: () => number;
  readonly fetchTimes?: FetchTimes;
  readonly retryTimes?: RetryTimes;
  readonly logTimes?: Partial<LogTimes>;
  readonly scrubRate?: ScrubRate;
  readonly cosigningTimes?: Partial<CosignerTimes> & { readonly beatPaceMs?: number };
  /** Between attempts to fetch a package ahead. */
  readonly replicationPausesMs?: readonly number[];
  /** Before a withdrawal that could not be carried out is tried again. */
  readonly withdrawalPauses?: Pauses;
  /** Told of each step, for tests that stop the process between two of them. */
  readonly step?: (name: HeldLogStep | TombstoneStep | LetGoStep) => void;
};

/** What has to be closed, the last one first. */
export type Cleanups = (() => Promise<void>)[];
