/** What a 404 of the upstream is worth. */
import { UpstreamError } from '../../core/errors.ts';
import type { Missing } from '../../io/upstream.ts';

/**
 * Returns if the upstream may be believed that it has no such package.
 * @param isKnown whether anything is known here of the package
 * @throws UpstreamError if its 404 may be by whoever stands in between
 */
export function believeMissing(name: string, { page }: Missing, isKnown: boolean): void {
  // Registries say 404 in JSON or without a body. A page may be by a proxy, a portal or a load balancer in front of one that
  // is away, so nothing known is withdrawn for it. Of what is not known, a page for people is no answer either: a 404 is
  // final for every client, a 502 is asked again. Plain text and XML stand there: that is how servers of mere files say it.
  if (page === null || (!isKnown && page !== 'text/html')) return;
  const reason = `the upstream's 404 came with a page (${page}) in place of JSON, perhaps from a proxy in between`;
  throw new UpstreamError({ what: `packument of ${name}`, reason });
}
