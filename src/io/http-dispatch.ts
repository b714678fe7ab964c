/** Connections of the HTTP client: certificate authorities, proxies, and which addresses may be connected to at all. */
import { isIP, type Socket } from 'node:net';
import { Agent, buildConnector, type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { isLoopbackHostname, isPrivate } from '../core/ip.ts';

export type DispatchOptions = {
  /** False refuses loopback, private and link-local addresses, judged on the connected socket: names can lie. */
  readonly allowPrivate: boolean;
  readonly proxy?: string | null;
  readonly httpsProxy?: string | null;
  readonly noProxy?: string;
  /** PEM texts; empty means the system's. */
  readonly ca?: readonly string[];
  readonly strictSsl?: boolean;
};

export type Dispatch = {
  /** Throws PrivateAddressError for an address that may not be connected to. */
  dispatcherFor(url: URL): Dispatcher;
  close(): Promise<void>;
};

/** Thrown inside of a connection attempt; the HTTP client turns it into its own kind of error. */
class PrivateAddressError extends Error {
  readonly code = 'ERR_PRIVATE_ADDRESS';
  constructor(address: string) {
    super(`its address ${address} is private, and private addresses are only allowed with --allow-private`);
  }
}

const CONNECT_TIMEOUT_MS = 10_000;
const CONNECTIONS_PER_ORIGIN = 64;

export function createDispatch(options: DispatchOptions): Dispatch {
  const direct = new Agent(agentOptions(options));
  const proxied = hasProxy(options) ? new EnvHttpProxyAgent(proxyOptions(options)) : null;
  return {
    dispatcherFor: (url) => {
      // A proxy resolves names itself, so that only addresses can be judged on this side.
      if (!options.allowPrivate) refusePrivateUrl(url);
      return proxied === null || isLoopbackHostname(hostOf(url)) ? direct : proxied;
    },
    close: async () => {
      await Promise.all([direct.destroy(), proxied?.destroy()]);
    },
  };
}

function agentOptions(options: DispatchOptions): Agent.Options {
  const connector = buildConnector({ ...tlsOptions(options), timeout: CONNECT_TIMEOUT_MS, allowH2: false });
  return {
    connections: CONNECTIONS_PER_ORIGIN,
    allowH2: false,
    connect: options.allowPrivate ? connector : publicOnly(connector),
  };
}

function proxyOptions(options: DispatchOptions): EnvHttpProxyAgent.Options {
  const tls = tlsOptions(options);
  return {
    ...agentOptions(options),
    // Empty, not absent: the environment was read already, in npm's order.
    httpProxy: options.proxy ?? '',
    httpsProxy: options.httpsProxy ?? '',
    noProxy: options.noProxy ?? '',
    requestTls: tls,
    proxyTls: tls,
  } as EnvHttpProxyAgent.Options;
}

function tlsOptions({ ca = [], strictSsl = true }: DispatchOptions): { ca?: string[]; rejectUnauthorized: boolean } {
  return { ...(ca.length > 0 ? { ca: [...ca] } : {}), rejectUnauthorized: strictSsl };
}

/**
 * Judges the address that the socket is really connected to: whatever a name resolved to a moment ago, and before a TLS
 * greeting is sent.
 */
function publicOnly(connector: buildConnector.connector): buildConnector.connector {
  return (options, callback) => {
    const socket = connector(options, (...[error, connected]: buildConnector.CallbackArgs) => {
      if (error !== null) return callback(error, null);
      const refused = refusalOf(connected);
      if (refused === null) return callback(null, connected);
      connected.destroy();
      callback(refused, null);
    }) as unknown as Socket | undefined;
    if (socket !== undefined) refusePrivate(socket);
  };
}

/** Throws PrivateAddressError if `url` itself holds a private address. */
export function refusePrivateUrl(url: URL): void {
  const host = hostOf(url);
  if (isIP(host) !== 0 && isPrivate(host)) throw new PrivateAddressError(host);
}

/** Ends a socket that is about to connect as soon as it is connected to a private address, before anything is sent. */
export function refusePrivate(socket: Socket): void {
  socket.prependOnceListener('connect', () => {
    const refused = refusalOf(socket);
    if (refused !== null) socket.destroy(refused);
  });
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function refusalOf(socket: Socket): PrivateAddressError | null {
  const address = socket.remoteAddress ?? 'unknown';
  return isPrivate(address) ? new PrivateAddressError(address) : null;
}

function hasProxy({ proxy, httpsProxy }: DispatchOptions): boolean {
  return Boolean(proxy) || Boolean(httpsProxy);
}
