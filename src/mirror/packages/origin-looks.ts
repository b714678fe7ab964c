/** A door has its origin look at its upstream, and leaves an origin alone for a while that can't be asked. */
import { FederationError, reasonOf, UpstreamError } from '../../core/errors.ts';
import type { HttpClient, HttpResponse } from '../../io/http-client.ts';
import type { Logger } from '../../io/logger.ts';

export type OriginLooks = {
  /**
   * Has the origin look at what it answers with at this path.
   * @param what names it, for messages
   * @param patienceMs how long to wait for it
   * @throws UpstreamError, UpstreamTimeoutError for anything that says nothing of it
   */
  look(path: string, what: string, patienceMs: number): Promise<Pick<HttpResponse, 'status' | 'headers'>>;
  /**
   * Runs a task that asks the origin, unless that can't be asked now and the log says enough already.
   * @param isKnown whether the log says enough of this name; asked again after a failure
   * @returns whether what the log says may be out of date
   * @throws what the task throws, where not enough is known
   */
  orStale(name: string, isKnown: () => Promise<boolean>, task: () => Promise<void>): Promise<boolean>;
};

const AWAY_MS = 10_000;
const ANSWER_BYTES_MAX = 64 * 1024;
/** What a door has to answer for, besides "ask later". */
const IS_ABOUT_NAME = new Set([200, 404, 451]);

export function createOriginLooks(deps: {
  readonly origin: string;
  readonly client: HttpClient;
  readonly logger: Logger;
  /** Unix ms. */
  readonly now: () => number;
}): OriginLooks {
  const { origin, client, logger, now } = deps;
  let awayUntil = 0;

  /** A clock that was put back must not stretch the pause. */
  function isAway(): boolean {
    const leftMs = awayUntil - now();
    return leftMs > 0 && leftMs <= AWAY_MS;
  }

  return {
    async look(path, what, patienceMs) {
      const { status, headers } = await client.request(`${origin}/${path}`, {
        ...{ method: 'HEAD', maxBytes: ANSWER_BYTES_MAX, totalTimeoutMs: patienceMs, what: `${what} at the origin` },
        // RFC 7240: of a tarball nobody needs the bytes yet.
        headers: { 'accept-encoding': 'identity', prefer: 'return=minimal' },
      });
      if (IS_ABOUT_NAME.has(status)) return { status, headers };
      throw new UpstreamError({ what: `${what} at the origin`, reason: `it answered with status ${status}` });
    },
    async orStale(name, isKnown, task) {
      if (isAway() && (await isKnown())) return true;
      try {
        await task();
        return false;
      } catch (error) {
        if (!(error instanceof FederationError) || !(await isKnown())) throw error;
        awayUntil = now() + AWAY_MS;
        const reason = reasonOf(error);
        logger.warn({ name, reason }, 'the origin could not be asked; serving what the log said last');
        return true;
      }
    },
  };
}
