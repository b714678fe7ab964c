/** Doors: the public base URLs of a registry, and the rule that each has for its tarballs. */

import { utf8 } from './bytes.ts';
import type { Client } from './clients.ts';
import { quote, UsageError } from './errors.ts';
import { sha256Hex } from './hash.ts';

/**
 * `self`: serve the bytes; `redirect`: send clients that verify them to a mirror; `canonical`: the same, and clients that
 * swap the public registry's host for the configured one by themselves are given the public registry's tarball URLs, so
 * that their lockfiles work everywhere.
 */
export type DoorRule = 'self' | 'redirect' | 'canonical';

export type Door = {
  /** First 8 hex digits of the SHA-256 of the URL. */
  readonly id: string;
  readonly rule: DoorRule;
  /** Scheme, host and port; no slash at the end. */
  readonly url: string;
};

const RULES: readonly DoorRule[] = ['self', 'redirect', 'canonical'];

/** @param url scheme, host and port, as `parseBaseUrl` gives it */
export function makeDoor(rule: DoorRule, url: string): Door {
  return { id: sha256Hex(utf8(url)).slice(0, 8), rule, url };
}

/**
 * Reads `redirect=https://registry.example`.
 *
 * @throws UsageError for an unknown rule, or a URL that is more than scheme, host and port: npm 12 takes tarballs only
 *   from below the registry's own path, so a registry lives at the root of a host
 */
export function parseDoorFlag(text: string): Door {
  const at = text.indexOf('=');
  const rule = RULES.find((known) => known === text.slice(0, Math.max(at, 0)));
  if (rule === undefined) {
    throw new UsageError(`the door ${quote(text)} has no known rule; write redirect=URL, self=URL or canonical=URL`);
  }
  return makeDoor(rule, parseBaseUrl(text.slice(at + 1)));
}

/**
 * Scheme, host and port of a server, in one spelling: lower-case, without a default port, without a slash at the end.
 *
 * @throws UsageError if the text is not an http(s) URL, or has a path, query, fragment or credentials
 */
export function parseBaseUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`${quote(text)} is not an http or https URL; write one such as https://registry.example`);
  }
  if (url.href !== `${url.origin}/`) {
    throw new UsageError(`${quote(text)} has more than scheme, host and port; write ${url.origin}`);
  }
  return url.origin;
}

/**
 * The door that a request came through, by its `Host`. Besides the configured doors there are `localhost`, `127.0.0.1`
 * and `[::1]` with the bound port, of rule `redirect`. Any other `Host`, or none, gets the default: the first configured
 * door, else `localhost`. What a client says is only looked up, never echoed.
 *
 * @param loopbackPort the port that this server is bound to
 */
export function chooseDoor(hostHeader: string | undefined, doors: readonly Door[], loopbackPort: number): Door {
  const host = hostHeader?.toLowerCase() ?? '';
  const configured = doors.find(({ url }) => hostsOf(url).includes(host));
  if (configured) return configured;
  const implicit = ['localhost', '127.0.0.1', '[::1]']
    .map((name) => `http://${name}${loopbackPort === 80 ? '' : `:${loopbackPort}`}`)
    .find((url) => hostsOf(url).includes(host));
  if (implicit) return makeDoor('redirect', implicit);
  return doors[0] ?? makeDoor('redirect', parseBaseUrl(`http://localhost:${loopbackPort}`));
}

/**
 * What the tarball URLs begin with that a client is given at a door, without a slash at the end.
 *
 * @param canonical URL of the public registry, whose host some clients swap by themselves
 */
export function tarballBase(door: Door, client: Client, canonical: string | null): string {
  return door.rule === 'canonical' && client.swapsPublicHost && canonical !== null ? canonical : door.url;
}

/**
 * @param canonical URL of the public registry; null if npm no longer says which one it is
 * @throws UsageError for a canonical door of a registry that follows another upstream: what clients are told to take
 *   from the public registry has to be what the public registry has
 */
export function checkCanonicalDoors(doors: readonly Door[], upstream: string, canonical: string | null): void {
  const door = doors.find(({ rule }) => rule === 'canonical');
  if (door === undefined || upstream === canonical) return;
  throw new UsageError(
    `the door ${door.url} can't be canonical: the upstream is ${upstream}, not the public registry that npm knows by ` +
      `itself; make it redirect=${door.url}`,
  );
}

/** Hostname of a URL without port, brackets kept; what npm compares when it decides whether a token goes along. */
export function hostnameOf(url: string): string {
  return new URL(url).hostname;
}

/**
 * Hostname in a `Host` header, in the spelling of `hostnameOf`; empty if there is none.
 */
export function requestHostname(hostHeader: string | undefined): string {
  return URL.parse(`http://${hostHeader ?? ''}`)?.hostname ?? '';
}

/** How `Host` may spell a URL's host: clients leave a scheme's own port out, some proxies write it. */
function hostsOf(url: string): string[] {
  const host = url.slice(url.indexOf('//') + 2);
  const port = url.startsWith('https:') ? 443 : 80;
  return /:\d+$/.test(host) ? [host] : [host, `${host}:${port}`];
}
