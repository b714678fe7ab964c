/** A federated server: pulls the blobs that clients are sent here for, checks them, keeps them, gives them out. */

import { createLogAnswers } from '../door/log-answers.ts';
import { serveAdmin } from '../io/admin-socket.ts';
import { createHttpServer, type Handler } from '../io/http-server.ts';
import { createAdminHandler } from './admin.ts';
import { openMirrorDoor } from './door/open-door.ts';
import type { LogFollower } from './log/log-follower.ts';
import { mirrorCheckpoint } from './log/mirror-checkpoint.ts';
import { listenToFeed } from './membership/listen.ts';
import { createMembership, type Membership, type MembershipState, RETRY_TIMES } from './membership/membership.ts';
import { type Basics, openBasics } from './open-basics.ts';
import { openParts, type Parts } from './open-parts.ts';
import type { Cleanups, MirrorConfig, MirrorDeps } from './options.ts';
import { REPLICATION_PAUSES_MS, startReplication } from './packages/replicate.ts';
import { createMirrorRoutes } from './routes.ts';

export type RunningMirror = {
  /** Base URL by which it is known. */
  readonly url: string;
  readonly port: number;
  readonly hostId: string;
  /** Vkeys (signature type 0x04) by which it says what it holds, and what it was shown. */
  readonly cosigner: string;
  readonly witness: string;
  state(): MembershipState;
  readonly follower: LogFollower;
  /** Lets answers finish, stops fetching, frees the data directory. */
  close(): Promise<void>;
};

/**
 * Starts a mirror: resolves when it listens and has asked its origin for its keys once. An origin that is away is no
 * error: what is held is served, and the origin is tried again.
 * @throws UsageError, ConflictError for a data directory or configuration that can't be run; SignatureError for an origin
 * that is not the expected one
 */
export async function startMirror(config: MirrorConfig, deps: MirrorDeps): Promise<RunningMirror> {
  const cleanups: Cleanups = [];
  const close = async (): Promise<void> => {
    for (let cleanup = cleanups.pop(); cleanup; cleanup = cleanups.pop()) await cleanup();
  };
  try {
    const opened = await openBasics(config, deps, cleanups);
    return { ...(await serve(config, deps, opened, cleanups)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Listens first: the origin asks for a proof of the URL before it admits the host. */
async function serve(
  config: MirrorConfig,
  deps: MirrorDeps,
  basics: Basics,
  cleanups: Cleanups,
): Promise<Omit<RunningMirror, 'close'>> {
  const parts = await openParts(config, deps, basics, cleanups);
  const bound = { port: 0, url: '' };
  const membership = joinOrigin(config, deps, basics, parts, bound);
  const handler = createHandler(config, basics, parts, membership, bound);
  await listen(config, basics, parts, handler, bound, cleanups);
  cleanups.push(() => membership.close());
  await begin(config, deps, basics, parts, membership, cleanups);
  const { follower, cosigning } = parts;
  const { cosigner, witnessKey: witness } = cosigning;
  const { hostId } = basics.keys;
  return { ...bound, hostId, cosigner, witness, state: () => membership.state(), follower };
}

type Bound = { port: number; url: string };

/** What the origin's feed tells is the follower's. */
function newsOf({ client, origin }: Basics, { follower }: Parts, { retryTimes: times = RETRY_TIMES }: MirrorDeps) {
  return {
    ...{ client, origin, times },
    lastEventId: () => (follower.checkpoint() ? `${follower.size()}` : null),
    checkpoint: (note: string) => follower.hint(note, origin),
    // Whether it is the feed or the origin that has gone shows when the log is looked at; peers are asked if it is.
    ended: () => void follower.catchUp().catch(() => undefined),
  };
}

function joinOrigin(config: MirrorConfig, deps: MirrorDeps, basics: Basics, parts: Parts, bound: Bound): Membership {
  const { keys, trust, list, logger, now, tally } = basics;
  const { private: isPrivate = false, operator = null } = config;
  const { beatPaceMs } = deps.cosigningTimes ?? {};
  return createMembership({
    ...{ ...newsOf(basics, parts, deps), keys, trust, list, logger, now },
    application: () => ({ private: isPrivate, operator, url: bound.url, software: deps.software }),
    heartbeat: () => {
      const cosigned = parts.cosigning.cosigned();
      const said = { url: bound.url, stored: tally.stored(), failures: parts.server.failures() };
      return cosigned ? { ...said, cosigned } : said;
    },
    ...(beatPaceMs === undefined ? {} : { beatPaceMs }),
  });
}

function createHandler(
  config: MirrorConfig,
  basics: Basics,
  parts: Parts,
  membership: Membership,
  bound: Bound,
): Handler {
  const { stores, gossip } = basics;
  const { server, packages, cosigning } = parts;
  const routes = createMirrorRoutes({
    ...{ ...basics, ...parts, membership, blobs: server },
    logAnswers: createLogAnswers({ metadata: stores.index, checkpoint: cosigning.note }),
    url: () => bound.url,
    failure: stores.failure,
  });
  const { door } = config;
  if (!door || !packages) return gossip.handler(routes);
  const atDoor = { ...basics, ...parts, config, tarballs: stores.blobs, blobs: server, routes };
  return gossip.handler(openMirrorDoor({ ...atDoor, door, packages, port: () => bound.port }));
}

async function listen(
  config: MirrorConfig,
  { dir, stores, stopping, logger, metrics }: Basics,
  { fetcher }: Parts,
  handler: Handler,
  bound: Bound,
  cleanups: Cleanups,
): Promise<void> {
  const http = createHttpServer({ role: 'mirror', logger, metrics, trustProxy: config.trustProxy ?? [], handler });
  cleanups.push(async () => stopping.abort(new Error('the mirror is stopping')));
  cleanups.push(() => http.close());
  // Before the server: whoever waits for a blob is sent back at once, and whoever has got some of it gets the rest.
  cleanups.push(async () => fetcher.refuse());
  bound.port = await http.listen(config.host, config.port);
  bound.url = config.publicUrl ?? boundUrl(config.host, bound.port);
  const admin = await serveAdmin(dir, createAdminHandler(stores, mirrorCheckpoint(dir, stores.index)));
  cleanups.push(() => admin.close());
}

/** All that goes on by itself from here on. */
async function begin(
  config: MirrorConfig,
  deps: MirrorDeps,
  basics: Basics,
  parts: Parts,
  membership: Membership,
  cleanups: Cleanups,
): Promise<void> {
  const { stores, stopping, tally } = basics;
  const { signal } = stopping;
  const { packages, cosigning, follower } = parts;
  if (config.door) void listenToFeed({ ...newsOf(basics, parts, deps), signal });
  else await membership.start();
  await cosigning.start(() => membership.beat());
  follower.start();
  const { replicate: patterns = [], upstream = null } = config;
  if (!packages || patterns.length === 0) return;
  const replication = startReplication({
    ...{
      ...basics,
      ...parts,
      packages,
      patterns,
      upstream,
      signal,
      index: stores.index,
      tarballs: stores.blobs,
    },
    stored: () => tally.stored().bytes,
    pausesMs: deps.replicationPausesMs ?? REPLICATION_PAUSES_MS,
  });
  cleanups.push(replication.close);
}

/** Never `localhost`: a mirror's host name must differ from that of every door, and that is the usual door here. */
function boundUrl(host: string, port: number): string {
  const name = host === 'localhost' || host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
