/** Choosing one host among those that may serve a blob. */

import { utf8 } from './bytes.ts';
import { sha256 } from './hash.ts';

/** A host as a decision sees it. */
export type HostView = {
  /** 16 hex digits. */
  readonly id: string;
  /** Scheme, host and port, without a slash at the end. */
  readonly url: string;
  /** Of the URL, without port, IPv6 in brackets. */
  readonly hostname: string;
  readonly scheme: 'http' | 'https';
  /** Its connection for changes is open. */
  readonly present: boolean;
  readonly healthy: boolean;
  readonly approved: boolean;
  /** Applied for as private: serves its own people, and is named to no one else. */
  readonly private: boolean;
  /** Why it is not healthy, in words. */
  readonly reason?: string;
};

/** Picks among hosts that are all fit to serve; null if there are none. Pure, so that everybody can repeat it. */
export type SelectHost = (hosts: readonly HostView[], sha512: string) => HostView | null;

/**
 * Rendezvous hashing (Thaler and Ravishankar 1998): the host with the highest score for this blob. Each blob has its own
 * order of hosts, so caches specialise, and when a host comes or goes only its own blobs move.
 */
export const rendezvous: SelectHost = (hosts, sha512) => {
  let best: HostView | null = null;
  let bestScore = -1n;
  for (const host of hosts) {
    const score = scoreOf(host.id, sha512);
    if (score > bestScore) {
      best = host;
      bestScore = score;
    }
  }
  return best;
};

/** First 8 bytes of SHA-256 over host id, line feed and hash, big-endian. */
function scoreOf(hostId: string, sha512: string): bigint {
  const digest = sha256(utf8(`${hostId}\n${sha512}`));
  return new DataView(digest.buffer, digest.byteOffset).getBigUint64(0);
}
