/** Choosing one host among those that may serve a blob. */

/**
 * What is held against a host about withdrawals: `missed`: it has not taken in one whose deadline has passed; `kept`: it goes
 * on serving what it should have dropped.
 */
export type HostWithdrawals = 'missed' | 'kept';

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
  /**
   * The origin's operator vouches for it: it is the operator's own on the same machine (`up`), or among the trusted hosts that
   * the settings name. Left out: nobody does.
   */
  readonly trusted?: boolean;
  /** It shows that it has not followed the log for minutes. Left out: it follows, or nothing is known of it. */
  readonly behind?: boolean;
  /** Left out: nothing. */
  readonly withdrawals?: HostWithdrawals;
  /** Why it is not healthy, in words. */
  readonly reason?: string;
};

/**
 * Picks among hosts that are all fit to serve; null if there are none. Pure, so that everybody can repeat it. Whoever
 * gives the same array again gets a faster answer, so it must not be changed afterwards.
 */
export type SelectHost = (hosts: readonly HostView[], sha512: string) => HostView | null;

/**
 * Rendezvous hashing (Thaler and Ravishankar 1998): the host with the highest score for this blob. Each blob has its own
 * order of hosts, so caches specialise, and when a host comes or goes only its own blobs move.
 *
 * The score is `mix(mix(H1 ^ B1) ^ H2 ^ B2)`, where H1 and H2 are the first and last 8 hex digits of the host's id, B1 and
 * B2 the first 16 of the blob's hash, all as 32-bit numbers; of equal scores the smaller id wins. Ids and hashes come out
 * of SHA-2 already, so nothing more is needed for an even spread: for any two ids, `mix` being a bijection, each scores
 * evenly over all blobs. A host may pick its key so that it gets one given blob, as with every function that all can
 * compute, but no key gets it a larger share. SHA-256 of each pair would cost almost a thousand times as much.
 */
export const rendezvous: SelectHost = (hosts, sha512) => {
  const seeds = seedsOf(hosts);
  const blobFirst = wordAt(sha512, 0);
  const blobSecond = wordAt(sha512, WORD_DIGITS);
  const count = hosts.length;
  let best = 0;
  let bestScore = LOWEST;
  for (let index = 0; index < count; index++) {
    const first = mix((seeds[2 * index] as number) ^ blobFirst);
    const score = mix(first ^ (seeds[2 * index + 1] as number) ^ blobSecond) ^ LOWEST;
    if (score >= bestScore && (score > bestScore || idAt(hosts, index) < idAt(hosts, best))) {
      best = index;
      bestScore = score;
    }
  }
  return hosts[best] ?? null;
};

/** Flipped into a score it makes signed numbers compare as the unsigned ones that they stand for, which engines are slower at. */
const LOWEST = -(2 ** 31);

const WORD_DIGITS = 8;

// Reading a thousand ids takes thirty times as long as scoring them.
const knownSeeds = new WeakMap<readonly HostView[], Int32Array>();

/** Two words per host, in the list's order. */
function seedsOf(hosts: readonly HostView[]): Int32Array {
  const known = knownSeeds.get(hosts);
  if (known) return known;
  const seeds = Int32Array.from(hosts.flatMap(({ id }) => [wordAt(id, 0), wordAt(id, WORD_DIGITS)]));
  knownSeeds.set(hosts, seeds);
  return seeds;
}

/** 8 hex digits as a signed number of 32 bits. */
function wordAt(hex: string, start: number): number {
  return Number.parseInt(hex.slice(start, start + WORD_DIGITS), 16) | 0;
}

/** The finalizer of MurmurHash3 (Appleby, public domain): a bijection of 32-bit numbers in which every bit counts for every bit. */
function mix(word: number): number {
  const once = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return twice ^ (twice >>> 16);
}

function idAt(hosts: readonly HostView[], index: number): string {
  return hosts[index]?.id ?? '';
}
