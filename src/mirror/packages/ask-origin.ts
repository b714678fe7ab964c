/** What a door asks its origin, so that this looks at its upstream; and how long it leaves alone one that can't be asked. */
import { UpstreamError } from '../../core/errors.ts';
import type { HttpClient, HttpResponse } from '../../io/http-client.ts';

export type AskOrigin = {
  /**
   * Has the origin look at what it answers with at this path.
   * @param what names it, for messages
   * @param patienceMs how long to wait for it
   * @throws UpstreamError, UpstreamTimeoutError for anything that says nothing of it
   */
  look(path: string, what: string, patienceMs: number): Promise<Pick<HttpResponse, 'status' | 'headers'>>;
  /** Whether it is to be left alone now, for everything that can be answered without it. */
  isAway(): boolean;
  /** It could not be asked. */
  failed(): void;
};

const AWAY_MS = 10_000;
const ANSWER_BYTES_MAX = 64 * 1024;
/** What a door has to answer for, besides "ask later". */
const IS_ABOUT_NAME = new Set([200, 404, 451]);

/** @param now Unix ms */
export function createAskOrigin(origin: string, client: HttpClient, now: () => number): AskOrigin {
  let awayUntil = 0;
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
    // A clock that was put back must not stretch the pause.
    isAway: () => awayUntil > now() && awayUntil - now() <= AWAY_MS,
    failed: () => {
      awayUntil = now() + AWAY_MS;
    },
  };
}
