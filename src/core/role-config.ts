/** What an operator can tell an origin or a mirror, whether on a command line or where roles are composed. */
import type { Door } from './door.ts';

export type OriginSettings = {
  /** Data directory. */
  readonly data: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Address or name to bind to; `localhost` means both loopback addresses. */
  readonly host: string;
  /** Base URL of the upstream registry; null means the one that the data directory follows, or the default. */
  readonly upstream: string | null;
  /** Public base URLs with their rules; the first is the default door. */
  readonly doors: readonly Door[];
  /** CIDRs of proxies whose `X-Forwarded-For` is believed. */
  readonly trustProxy: readonly string[];
  /** Names (`name`, `@scope/*`, `prefix*`) that are answered 404 without asking the upstream. */
  readonly neverAsk: readonly string[];
  /** Origins, besides the upstream's own, that its tarballs may be fetched from. */
  readonly upstreamTarballs: readonly string[];
  /** Hosts may have private and loopback addresses. */
  readonly allowPrivate: boolean;
  /** Ids of clients (core/clients) that are sent to hosts although nothing shows that they verify. */
  readonly redirectUnverified: readonly string[];
  /** Ids of hosts that the operator vouches for, besides its own on the same machine. */
  readonly trustedHosts: readonly string[];
  /** Ids of clients that are sent to hosts only if the operator vouches for them. */
  readonly redirectTrusted: readonly string[];
  /** Ids of clients that are never sent to hosts, although they verify. */
  readonly redirectNever: readonly string[];
};

export type MirrorSettings = {
  /** Base URL of the origin, without a slash at the end. */
  readonly origin: string;
  /** Data directory. */
  readonly data: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Address or name to bind to; `localhost` means both loopback addresses. */
  readonly host: string;
  /** The URL that clients reach this mirror by; null means the bound address. */
  readonly publicUrl: string | null;
  /** Vkey of the origin's log key or root key; null trusts the first visit, over https or loopback only. */
  readonly originKey: string | null;
  /**
   * Base URL of a registry that tarballs are fetched from, by name, where neither peers nor the origin give them; null or
   * left out: none. Only a mirror that keeps packages knows their names.
   */
  readonly upstream?: string | null;
  /** Base URLs of other mirrors, asked for missing blobs before the origin, in this order. */
  readonly peers: readonly string[];
};
