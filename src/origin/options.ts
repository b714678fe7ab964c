/** What an origin is started with. */
import type { RepeatLimits } from '../core/repeats.ts';
import type { OriginSettings } from '../core/role-config.ts';
import type { SelectHost } from '../core/selection.ts';
import type { HttpClientOptions } from '../io/http-client.ts';
import type { Logger } from '../io/logger.ts';
import type { ScrubRate } from '../io/scrubber.ts';
import type { CosigningTimes } from './cosigning/cosigning.ts';
import type { RegistryTimes, Step } from './registry.ts';

export type OriginConfig = OriginSettings & {
  readonly freshnessMs: number;
  /** Bytes of disk for tarballs of the upstream; null or left out: no bound. */
  readonly diskBudgetBytes?: number | null;
  /** Path of a C2SP tlog-policy, whose witnesses with a URL are asked to cosign; null or left out: nobody is. */
  readonly policy?: string | null;
};

export type OriginDeps = {
  readonly logger: Logger;
  /** Version of this software. */
  readonly version: string;
  /** Chooses among the hosts that are fit to serve a client. */
  readonly select: SelectHost;
  /** What a first start without an upstream follows: the registry of the user's npm configuration. */
  readonly defaultUpstream: string;
  /** Hosts of the same operator on the same machine, approved as soon as they apply. */
  readonly isOwnHost?: (hostId: string) => boolean;
  /** URL of the public registry, whose host npm swaps by itself: the only upstream that canonical doors are for. */
  readonly canonicalRegistry?: string | null;
  /** Proxies and certificates for reaching the upstream. */
  readonly http?: Partial<HttpClientOptions>;
  /** Unix ms that never go back. The default starts from the machine's clock and is not moved by its corrections. */
  readonly now?: () => number;
  readonly times?: Partial<OriginTimes>;
  readonly cosigningTimes?: CosigningTimes;
  readonly repeatLimits?: Partial<RepeatLimits>;
  /** Resolves after so many ms. */
  readonly pause?: (ms: number) => Promise<unknown>;
  readonly scrubRate?: ScrubRate;
  /** Told of each step at which a crash would leave something half done. */
  readonly step?: (step: Step) => void;
};

/** How long things may take, in ms; what is left out has its usual value. */
export type OriginTimes = RegistryTimes & {
  /** Between two looks at a host. */
  readonly probeIntervalMs: number;
  /** For an answer to a question that is passed through to the upstream. */
  readonly passTimeoutMs: number;
  /** For the upstream's next piece of a tarball. */
  readonly tarballIdleMs: number;
};

/** What has to be closed, the last one first. */
export type Cleanups = (() => Promise<unknown>)[];
