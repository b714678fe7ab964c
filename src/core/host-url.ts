/** Which URLs hosts may be known by. */
import { BadRequestError, ForbiddenError, quote } from './errors.ts';
import { isLoopbackHostname, isPrivate } from './ip.ts';

/**
 * Checks the URL that a host wants to be known by.
 * @param rules hostnames of all configured doors, which no host may share: a client drops its token only when the
 * hostname changes; `allowPrivate` for addresses of this machine or a private network
 * @throws BadRequestError for another form, ForbiddenError for a place that hosts may not have
 */
export function checkHostUrl(url: string, rules: { doorHostnames: readonly string[]; allowPrivate: boolean }): void {
  const parsed = URL.parse(url);
  if (parsed === null || (parsed.protocol !== 'https:' && parsed.protocol !== 'http:') || parsed.origin !== url) {
    throw new BadRequestError(
      `a host's URL is http or https, host name and port, like https://mirror.example; not ${quote(url)}`,
    );
  }
  const hostname = bareHostname(parsed.hostname);
  if (hostname.endsWith('.')) throw new BadRequestError(`${url}: write the host name without a dot at its end`);
  if (rules.doorHostnames.some((door) => bareHostname(door) === hostname)) {
    throw new ForbiddenError(`${url} has the host name of a door of this registry; a mirror needs one of its own`);
  }
  if (!rules.allowPrivate && isPrivateHostname(hostname)) {
    throw new ForbiddenError(`${url} is a private address, which this origin takes only with --allow-private`);
  }
}

/** Only what the name itself shows; where a name leads is checked on the socket when it is connected. */
function isPrivateHostname(hostname: string): boolean {
  if (isLoopbackHostname(hostname)) return true;
  const isAddress = hostname.includes(':') || /^[0-9.]+$/.test(hostname);
  return isAddress && isPrivate(hostname);
}

function bareHostname(hostname: string): string {
  return hostname.toLowerCase().replace(/^\[|\]$/g, '');
}
