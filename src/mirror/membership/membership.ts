/**
 * Being a host of an origin: know its keys, apply until an admin approved, hold the feed open, send heartbeats; and all
 * of it anew whenever something breaks, at growing intervals. What this mirror holds is served through all of that.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { fromBase64, toBase64 } from '../../core/bytes.ts';
import { ConflictError, ForbiddenError, reasonOf, SignatureError, UnauthorizedError } from '../../core/errors.ts';
import type { FeedEvent } from '../../core/event-stream.ts';
import { logNameOf, type OriginKeys } from '../../core/keys-note.ts';
import { markKey } from '../../core/mark.ts';
import {
  type Application,
  type ApplyAnswer,
  formatApplication,
  formatHeartbeat,
  type Heartbeat,
  parseApplyAnswer,
} from '../../core/membership.ts';
import type { HttpClient } from '../../io/http-client.ts';
import type { HostKeys } from '../../io/key-file.ts';
import type { Logger } from '../../io/logger.ts';
import { createHostSigner, type HostSigner, postSigned } from './ask-origin.ts';
import { followFeed } from './feed.ts';
import type { HeldList } from './held-list.ts';
import type { OriginTrust } from './origin-keys.ts';

export type MembershipState = 'starting' | 'away' | 'pending' | 'suspended' | 'connected';

/** What a mirror needs to know of its origin to check marks and to prove its URL. */
export type OriginFacts = { readonly logName: string; readonly markKey: Uint8Array };

export type Membership = {
  state(): MembershipState;
  /** Null until the origin's keys are known. */
  facts(): OriginFacts | null;
  /** Asks for the origin's keys once, then goes on in the background. Rejects only for keys that must not be believed. */
  start(): Promise<void>;
  /** There is something to tell the origin: a heartbeat out of turn, at once or as soon as the pace allows. */
  beat(): void;
  close(): Promise<void>;
};

export type MembershipDeps = {
  readonly origin: string;
  readonly client: HttpClient;
  readonly keys: HostKeys;
  readonly trust: OriginTrust;
  readonly list: HeldList;
  /** What to apply with; its keys are added. */
  readonly application: () => Omit<Application, 'key' | 'exchange'>;
  readonly heartbeat: () => Heartbeat;
  /** Size of the checkpoint that is held, in digits; null before the first. */
  readonly lastEventId: () => string | null;
  /** A checkpoint that the feed tells: a signed note, not yet believed. */
  readonly checkpoint: (note: string) => void;
  /** The feed has ended, or the origin could not be joined. */
  readonly ended: () => void;
  readonly logger: Logger;
  readonly now: () => number;
  readonly times: RetryTimes;
  /** Between two heartbeats that are sent because there is something to tell, ms. Default 5 s. */
  readonly beatPaceMs?: number;
};

/** Waiting between attempts, ms: from `firstMs`, longer by half each time, up to `lastMs`. */
export type RetryTimes = { readonly firstMs: number; readonly lastMs: number };
export const RETRY_TIMES: RetryTimes = { firstMs: 200, lastMs: 15_000 };

/** Between two heartbeats that are sent because there is something to tell, ms. */
const BEAT_PACE_MS = 5_000;

export function createMembership(deps: MembershipDeps): Membership {
  return new Member(deps);
}

class Member implements Membership {
  readonly #deps: MembershipDeps;
  readonly #stop = new AbortController();
  #state: MembershipState = 'starting';
  #facts: OriginFacts | null;
  #running: Promise<void> = Promise.resolve();
  #waitMs: number;
  /** While this host is a member. */
  #sendBeat: (() => void) | null = null;
  /** Of the last heartbeat out of turn. */
  #beatAtMs = Number.NEGATIVE_INFINITY;
  #soon: NodeJS.Timeout | undefined;

  constructor(deps: MembershipDeps) {
    this.#deps = deps;
    this.#waitMs = deps.times.firstMs;
    const known = deps.trust.current();
    this.#facts = known && this.#factsOf(known);
  }

  state(): MembershipState {
    return this.#state;
  }

  facts(): OriginFacts | null {
    return this.#facts;
  }

  async start(): Promise<void> {
    try {
      await this.#learnKeys();
    } catch (error) {
      if (error instanceof SignatureError) throw error;
      this.#report(error);
    }
    this.#running = this.#run();
  }

  beat(): void {
    if (this.#soon !== undefined) return;
    const { beatPaceMs = BEAT_PACE_MS } = this.#deps;
    const send = () => {
      this.#soon = undefined;
      this.#beatAtMs = performance.now();
      this.#sendBeat?.();
    };
    this.#soon = setTimeout(send, Math.max(0, this.#beatAtMs + beatPaceMs - performance.now()));
    this.#soon.unref();
  }

  async close(): Promise<void> {
    clearTimeout(this.#soon);
    this.#stop.abort(new Error('the mirror is stopping'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#session();
      } catch (error) {
        if (!signal.aborted) this.#report(error);
      }
      if (!signal.aborted) this.#deps.ended();
      await sleep(this.#waitMs, undefined, { signal }).catch(() => undefined);
      this.#waitMs = Math.min(this.#waitMs * 1.5, this.#deps.times.lastMs);
    }
  }

  /** One attempt to be a member; lasts as long as the feed does. */
  async #session(): Promise<void> {
    const keys = await this.#learnKeys();
    const signer = createHostSigner(this.#deps.keys, logNameOf(keys), this.#deps.now);
    const answer = await this.#apply(signer);
    await this.#refreshList(keys);
    if (answer.status === 'approved') await this.#beMember(keys, signer, answer);
    else this.#become(answer.status);
  }

  /** An origin that came back from a backup has an older list for a while: refused, but no reason to stay away from it. */
  async #refreshList(keys: OriginKeys): Promise<void> {
    try {
      await this.#deps.list.refresh(keys);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      this.#listFailed(error);
    }
  }

  async #learnKeys(): Promise<OriginKeys> {
    const keys = await this.#deps.trust.refresh();
    this.#facts = this.#factsOf(keys);
    return keys;
  }

  #factsOf(keys: OriginKeys): OriginFacts {
    const logName = logNameOf(keys);
    return { logName, markKey: markKey(this.#deps.keys.exchange.exchangeSecret(fromBase64(keys.exchange)), logName) };
  }

  async #apply(signer: HostSigner): Promise<ApplyAnswer> {
    const { client, origin, keys } = this.#deps;
    const exchange = toBase64(keys.exchange.publicKey);
    const body = formatApplication({ ...this.#deps.application(), key: keys.identity.vkey, exchange });
    return parseApplyAnswer(await postSigned(client, origin, '/-/federation/hosts/apply', body, signer));
  }

  async #beMember(keys: OriginKeys, signer: HostSigner, { heartbeatSeconds }: ApplyAnswer): Promise<void> {
    const { client, origin } = this.#deps;
    const session = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, session.signal]);
    const beat = () => this.#sendHeartbeat(signer).catch((error) => this.#beatFailed(error, session));
    const beats = setInterval(beat, heartbeatSeconds * 1000);
    const opened = () => {
      this.#become('connected');
      this.#waitMs = this.#deps.times.firstMs;
      this.#sendBeat = () => void beat();
      this.#sendBeat();
    };
    const event = (one: FeedEvent) => this.#take(one, keys);
    try {
      await followFeed({ client, origin, signer, lastEventId: this.#deps.lastEventId(), signal, opened, event });
    } finally {
      clearInterval(beats);
      this.#sendBeat = null;
      if (!this.#stop.signal.aborted) this.#become('away');
    }
  }

  async #sendHeartbeat(signer: HostSigner): Promise<void> {
    const { client, origin, heartbeat } = this.#deps;
    await postSigned(client, origin, '/-/federation/hosts/heartbeat', formatHeartbeat(heartbeat()), signer);
  }

  /** A refusal ends the feed, so that the next attempt begins with an application; anything else may pass. */
  #beatFailed(error: unknown, session: AbortController): void {
    if (error instanceof ForbiddenError || error instanceof UnauthorizedError) session.abort(error);
    else this.#deps.logger.warn({ reason: reasonOf(error) }, 'a heartbeat did not reach the origin');
  }

  #take({ event, data }: FeedEvent, keys: OriginKeys): void {
    if (event === 'checkpoint') this.#deps.checkpoint(data);
    if (event !== 'hosts') return;
    this.#deps.list.refresh(keys).catch((error) => this.#listFailed(error));
  }

  /** The list held so far goes on to be used, and the session stands: the feed tells whether the origin is there. */
  #listFailed(error: unknown): void {
    const { origin, logger } = this.#deps;
    logger.warn({ origin, reason: reasonOf(error) }, 'the list of hosts was not renewed');
  }

  #become(state: MembershipState): void {
    if (state === this.#state) return;
    this.#state = state;
    const { origin, keys, logger } = this.#deps;
    logger.info({ origin, host: keys.hostId, state }, MEANINGS[state]);
  }

  #report(error: unknown): void {
    this.#become('away');
    this.#deps.logger.warn(
      { origin: this.#deps.origin, reason: reasonOf(error) },
      'the origin can’t be joined; trying again',
    );
  }
}

const MEANINGS: Readonly<Record<MembershipState, string>> = {
  starting: 'starting',
  away: 'not connected to the origin; what is held is still served',
  pending: 'applied; an admin of the origin has to approve this host',
  suspended: 'suspended by an admin of the origin',
  connected: 'connected to the origin',
};
