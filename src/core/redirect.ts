/**
 * Who answers a request for a tarball: the origin with its own verified bytes, or a host by redirect. One pure decision,
 * which gives its reasons. In doubt the origin answers: it is only slower.
 */

import type { Client } from './clients.ts';
import { type Door, hostnameOf } from './door.ts';
import { type PinnedHash, sriOf, sriProves } from './integrity.ts';
import { isLoopback, isLoopbackHostname } from './ip.ts';
import type { HostView, SelectHost } from './selection.ts';

/** Why the origin answers, with what that means for people. */
export const ORIGIN_REASONS = {
  'self-door': 'this door serves everything itself',
  head: 'it asks for headers only, and pnpm would keep the URL of whoever answers',
  'redirect-never': 'the operator has this client served by the origin',
  'sha1-only': 'the version is pinned by sha1 alone, which a host could forge',
  unverified: 'nothing shows that this client will verify the bytes',
  'not-held': 'the tarball is not stored here yet, so no host could surely get it',
  repeat: 'this network asked for the same tarball a moment ago, so a host may have failed it',
  'no-host': 'no host is fit to serve this client',
} as const;

/** Why a host is not considered, with what that means for people. */
export const HOST_REASONS = {
  'not-approved': 'no admin has approved it, or it is suspended',
  'not-present': 'it is not connected',
  unhealthy: 'its last probes failed',
  behind: 'it has not followed the log for minutes, and may not know what was withdrawn',
  'withdrawal-missed': 'it has not taken in a withdrawal whose deadline has passed',
  'withdrawal-kept': 'it goes on serving what was withdrawn',
  downgrade: 'a request that came by https is never sent on to http',
  'same-hostname': "it shares the door's hostname, so the client would send its token along",
  token: 'it could have the client send its token along, by redirecting it once more',
  untrusted: 'the operator sends this client only to hosts that it vouches for, and this is none of them',
  loopback: 'it is reachable only from its own machine, and the client is elsewhere',
  avoided: 'it may have failed this network within the last minutes',
} as const;

export type OriginReason = keyof typeof ORIGIN_REASONS;
export type HostReason = keyof typeof HOST_REASONS;

export type Excluded = { readonly hostId: string; readonly url: string; readonly reason: HostReason };

/** `excluded` is empty where the decision did not come as far as looking at hosts. */
export type Decision =
  | { readonly by: 'origin'; readonly reason: OriginReason; readonly excluded: readonly Excluded[] }
  | { readonly by: 'host'; readonly host: HostView; readonly excluded: readonly Excluded[] };

/** What of a request decides which hosts it may be sent to. */
export type Asker = {
  readonly door: Door;
  /** The hostname that the client used, as `requestHostname` gives it. */
  readonly requestHostname: string;
  /** Whether the request has an `Authorization` header. */
  readonly authorization: boolean;
  /** Whether the client is one that `resendsToken`. Left out: it isn't. */
  readonly resendsToken?: boolean;
  readonly clientAddress: string;
  /** Ids of hosts that `RepeatWindow` says may have failed the client's network, or this very request before. */
  readonly avoided: ReadonlySet<string>;
};

export type TarballInput = Asker & {
  readonly client: Client;
  /** The method is HEAD. Left out: it is GET. */
  readonly headOnly?: boolean;
  /** Value of the request's `pacote-integrity` header. */
  readonly pacoteIntegrity: string | null;
  readonly pinned: PinnedHash;
  /** The origin's store has it, or it is streaming in. */
  readonly held: boolean;
  /** `RepeatWindow.seen` called it a repeat, and the network's budget of bytes still has room for it. */
  readonly repeatInBudget: boolean;
  readonly hosts: readonly HostView[];
  /** Ids of clients that the operator sends to hosts though nothing shows that they verify. */
  readonly redirectUnverified: readonly string[];
  /** Ids of clients that the operator sends to trusted hosts only, those in `redirectUnverified` too. */
  readonly redirectTrusted: readonly string[];
  /** Ids of clients that the operator sends to no host; stronger than the other two. */
  readonly redirectNever: readonly string[];
  readonly select: SelectHost;
};

/**
 * Decides who answers.
 *
 * Private hosts are neither chosen nor named among the excluded: nobody is to learn of them here.
 */
export function decideTarball(input: TarballInput): Decision {
  const reason = reasonForOrigin(input);
  if (reason !== null) return { by: 'origin', reason, excluded: [] };
  const { fit, excluded } = sortHosts(input.hosts, input, input.redirectTrusted.includes(input.client.id));
  const host = input.select(fit, input.pinned.hex);
  return host === null ? { by: 'origin', reason: 'no-host', excluded } : { by: 'host', host, excluded };
}

/**
 * The hosts that may serve this client, and why the others may not; private ones are in neither list.
 * @param trustedOnly whether only trusted hosts may
 */
export function sortHosts(hosts: readonly HostView[], asker: Asker, trustedOnly = false): Sorted {
  const known = sortedForMost(hosts, asker, trustedOnly);
  // Few requests have a token or a host to avoid; for all others the list is the same until the hosts change.
  if (!asker.authorization && asker.avoided.size === 0) return known;
  return sortBy(known.fit, known.excluded, (host) => reasonOfRequest(host, asker));
}

export type Sorted = { readonly fit: readonly HostView[]; readonly excluded: readonly Excluded[] };

const sortedLists = new WeakMap<readonly HostView[], Map<string, Sorted>>();

/**
 * By what hosts are, whether the door has TLS, whether the client is on this machine, and whether it is sent to trusted hosts
 * only. Lists of hosts are never changed.
 */
function sortedForMost(hosts: readonly HostView[], { door, clientAddress }: Asker, trustedOnly: boolean): Sorted {
  const secure = door.url.startsWith('https:');
  const nearby = isLoopback(clientAddress);
  const lists = sortedLists.get(hosts) ?? new Map<string, Sorted>();
  sortedLists.set(hosts, lists);
  const key = `${secure} ${nearby} ${trustedOnly}`;
  const known = lists.get(key);
  if (known) return known;
  const listed = hosts.filter((host) => !host.private);
  const sorted = sortBy(listed, [], (host) => reasonOfHost(host, secure, nearby, trustedOnly));
  lists.set(key, sorted);
  return sorted;
}

function sortBy(
  hosts: readonly HostView[],
  before: readonly Excluded[],
  reasonAgainst: (host: HostView) => HostReason | null,
): Sorted {
  const fit: HostView[] = [];
  const excluded = [...before];
  for (const host of hosts) {
    const reason = reasonAgainst(host);
    if (reason === null) fit.push(host);
    else excluded.push({ hostId: host.id, url: host.url, reason });
  }
  return { fit, excluded };
}

/** Where a redirect points: the blob at the host, with the mark that lets the host fetch it if it must. */
export function redirectLocation(hostUrl: string, sha512: string, mark: string): string {
  return `${hostUrl}/-/federation/blob/sha512/${sha512}?for=${mark}`;
}

function reasonForOrigin(input: TarballInput): OriginReason | null {
  if (input.door.rule === 'self') return 'self-door';
  if (input.headOnly) return 'head';
  if (input.redirectNever.includes(input.client.id)) return 'redirect-never';
  if (input.pinned.algorithm !== 'sha512') return 'sha1-only';
  if (
    !willVerify(input.client, input.pacoteIntegrity, input.pinned) &&
    !input.redirectUnverified.includes(input.client.id)
  )
    return 'unverified';
  if (!input.held) return 'not-held';
  return input.repeatInBudget ? 'repeat' : null;
}

/**
 * Whether the request shows that the client will check what it gets against the pinned hash.
 * @param pacoteIntegrity value of the request's `pacote-integrity` header
 */
function willVerify(client: Client, pacoteIntegrity: string | null, pinned: PinnedHash): boolean {
  if (client.verifies === 'always') return true;
  if (client.verifies !== 'with pacote-integrity' || pacoteIntegrity === null || pinned.algorithm !== 'sha512')
    return false;
  // What npm sends almost always; reading it would cost more than choosing a host.
  return pacoteIntegrity === sriOf(pinned) || sriProves(pacoteIntegrity, pinned);
}

function reasonOfHost(host: HostView, secure: boolean, nearby: boolean, trustedOnly: boolean): HostReason | null {
  if (!host.approved) return 'not-approved';
  if (!host.present) return 'not-present';
  if (!host.healthy) return 'unhealthy';
  if (host.withdrawals) return `withdrawal-${host.withdrawals}`;
  if (host.behind) return 'behind';
  if (secure && host.scheme !== 'https') return 'downgrade';
  if (isLoopbackHostname(host.hostname) && !nearby) return 'loopback';
  return trustedOnly && !host.trusted ? 'untrusted' : null;
}

function reasonOfRequest(host: HostView, asker: Asker): HostReason | null {
  if (asker.authorization && sharesHostname(host, asker)) return 'same-hostname';
  if (asker.authorization && asker.resendsToken && !host.trusted) return 'token';
  return asker.avoided.has(host.id) ? 'avoided' : null;
}

/** npm strips a token only when the hostname changes; the port doesn't count. */
function sharesHostname(host: HostView, { door, requestHostname }: Asker): boolean {
  const hostname = host.hostname.toLowerCase();
  return hostname === requestHostname.toLowerCase() || hostname === hostnameOf(door.url);
}
