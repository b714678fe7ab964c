/** The paths of a mirror: blobs, the log, what federation needs, and how it is; nothing else, and never a package by name. */
import { BadRequestError, ForbiddenError, NotFoundError, UnauthorizedError } from '../core/errors.ts';
import { parseHostKey } from '../core/host-keys.ts';
import { CACHE, etagOf, planRead } from '../core/http-semantics.ts';
import { NonceMemory, readSignature, verifyRequest } from '../core/http-signature.ts';
import { checkMarkAsHost } from '../core/mark.ts';
import { formatIdentity, isNonce } from '../core/membership.ts';
import { type NpmRequest, parseNpmRequest } from '../core/npm-path.ts';
import { isLogPath, type LogAnswers } from '../door/log-answers.ts';
import type { BlobId } from '../io/blob-store.ts';
import { type Answer, type Handler, type Incoming, jsonAnswer, problemAnswer } from '../io/http-server.ts';
import type { HostKeys } from '../io/key-file.ts';
import { type Metrics, metricsAnswer } from '../io/metrics.ts';
import type { BlobServer, FetchRight } from './blobs/serve-blob.ts';
import type { MirrorCosigning } from './cosigning/cosigning.ts';
import { logHealth } from './health.ts';
import type { LogFollower } from './log/log-follower.ts';
import type { HeldList } from './membership/held-list.ts';
import type { Membership } from './membership/membership.ts';
import type { OriginTrust } from './membership/origin-keys.ts';
import type { Packages } from './packages/open-packages.ts';
import type { Withdrawals } from './withdrawals/withdrawals.ts';

export type MirrorRoutesDeps = {
  readonly keys: HostKeys;
  /** Base URL by which this mirror is known. */
  readonly url: () => string;
  readonly membership: Membership;
  readonly list: HeldList;
  readonly trust: Pick<OriginTrust, 'note'>;
  readonly follower: LogFollower;
  readonly withdrawals: Pick<Withdrawals, 'state'>;
  /** Checkpoint, tiles and entries. */
  readonly logAnswers: LogAnswers;
  readonly blobs: BlobServer;
  readonly cosigning: Pick<MirrorCosigning, 'witness' | 'health'>;
  /** What is kept of packages, by hash; null where none are. */
  readonly packages: Pick<Packages, 'answer'> | null;
  /** Why what it keeps of packages can't be written any more; null while all is well. */
  readonly failure: () => Error | null;
  readonly metrics: Metrics;
  /** Unix ms. */
  readonly now: () => number;
};

const HEX_LENGTH = { sha256: 64, sha512: 128 } as const;

export function createMirrorRoutes(deps: MirrorRoutesDeps): Handler {
  const nonces = new NonceMemory(deps.now());
  const credentials = deps.metrics.counter(
    'authorization_seen_total',
    'Requests that carried credentials, which are dropped',
  );

  return async (request) => {
    if (request.headers.authorization !== undefined || request.headers.cookie !== undefined) credentials.inc();
    const asked = parseNpmRequest(request.method, request.url);
    request.kind = kindOf(asked);
    const witnessed = asked.kind === 'federation' ? await witnessAnswer(deps, request, asked.path) : null;
    if (witnessed) return witnessed;
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      throw new ForbiddenError('this is a mirror: it only gives out blobs; use the door of your registry');
    }
    switch (asked.kind) {
      case 'ping':
        return jsonAnswer(200, {}, { 'cache-control': CACHE.noStore });
      case 'healthz':
        return healthAnswer(deps);
      case 'metrics':
        return metricsAnswer(deps.metrics);
      case 'federation':
        return federationAnswer(deps, nonces, request, asked.path, asked.query);
      default:
        throw notHere();
    }
  };
}

/** The one thing that anybody may send here: what C2SP tlog-witness has logs send to their witnesses. */
async function witnessAnswer(
  { cosigning }: MirrorRoutesDeps,
  request: Incoming,
  [first, ...path]: readonly string[],
): Promise<Answer | null> {
  return first === 'witness' ? cosigning.witness(request, path) : null;
}

async function federationAnswer(
  deps: MirrorRoutesDeps,
  nonces: NonceMemory,
  request: Incoming,
  path: readonly string[],
  query: string,
): Promise<Answer> {
  const [first = '', second = '', third] = path;
  if (isLogPath(path)) return deps.logAnswers(request, path);
  const ofPackages = await deps.packages?.answer(request, path);
  if (ofPackages) return ofPackages;
  if (first === 'blob' && path.length === 3) {
    const id = blobId(second, third as string);
    return deps.blobs.serve(request, id, () => fetchRightOf(deps, nonces, request, id, query));
  }
  if (first === 'head' && path.length === 2) {
    const id = blobId('sha256', second);
    return deps.blobs.serve(request, id, () => fetchRightOf(deps, nonces, request, id, query));
  }
  if (first === 'hosts' && path.length === 1) return listAnswer(deps.list, request);
  if (first === 'keys' && path.length === 1) return keysAnswer(deps.trust, request);
  if (first === 'identity' && path.length === 2) return identityAnswer(deps, second);
  throw notHere();
}

/** Who asks for a blob decides only whether it may be fetched; what is held is for everyone. */
function fetchRightOf(
  deps: MirrorRoutesDeps,
  nonces: NonceMemory,
  request: Incoming,
  id: BlobId,
  query: string,
): FetchRight {
  const facts = deps.membership.facts();
  if (!facts) return null;
  const mark = new URLSearchParams(query).get('for');
  if (mark !== null && id.algorithm === 'sha512') {
    const known = checkMarkAsHost(mark, id.hex, deps.keys.hostId, facts.markKey, deps.now());
    if (known) return { by: 'mark', mark, doorId: known.doorId };
  }
  const signature = readSignature(request.headers);
  if (!signature) return null;
  const host = deps.list.current()?.list.hosts.find((listed) => listed.id === signature.keyId);
  if (!host) throw new UnauthorizedError(`host ${signature.keyId} is not on the list of hosts`);
  const { publicKey } = parseHostKey(host.key);
  const { method, url, headers } = request;
  verifyRequest({ method, url, headers, body: null }, signature, {
    publicKey,
    logName: facts.logName,
    now: deps.now(),
  });
  nonces.use(signature, deps.now());
  return { by: 'host' };
}

function blobId(algorithm: string, hex: string): BlobId {
  if (algorithm !== 'sha256' && algorithm !== 'sha512') throw notHere();
  if (hex.length !== HEX_LENGTH[algorithm] || !/^[0-9a-f]+$/.test(hex)) {
    throw new BadRequestError(`a ${algorithm} is ${HEX_LENGTH[algorithm]} lower-case hex digits`);
  }
  return { algorithm, hex };
}

function listAnswer(list: HeldList, request: Incoming): Answer {
  const held = list.current();
  if (!held) throw new NotFoundError('this mirror has no list of hosts yet');
  return noteAnswer(request, held.note, held.etag);
}

/** The origin's keys as it certified them itself, so that a mirror can begin with a peer alone. */
function keysAnswer(trust: Pick<OriginTrust, 'note'>, request: Incoming): Answer {
  const note = trust.note();
  if (!note) throw new NotFoundError('this mirror does not know its origin yet');
  return noteAnswer(request, note, etagOf('keys', Buffer.from(note).toString()));
}

function noteAnswer(request: Incoming, note: Uint8Array, etag: string): Answer {
  const plan = planRead(request.method, request.headers, { etag, size: note.length, allowRange: false });
  const headers = { 'cache-control': 'no-cache', 'content-type': 'text/plain; charset=utf-8', ...plan.headers };
  return { status: plan.status, headers, body: plan.body ? note : null };
}

function identityAnswer({ keys, url, membership }: MirrorRoutesDeps, nonce: string): Answer {
  if (!isNonce(nonce)) throw new BadRequestError('a nonce is 16 to 64 characters of base64url');
  const facts = membership.facts();
  if (!facts) throw new NotFoundError('this mirror does not know its origin yet');
  const said = { host: keys.hostId, url: url(), key: keys.identity.vkey, nonce, logName: facts.logName };
  const headers = { 'cache-control': CACHE.noStore, 'content-type': 'application/json' };
  return { status: 200, headers, body: formatIdentity(said, keys.identity.sign) };
}

/** Healthy while it can serve what it holds; being away from the origin is told, and no fault. */
function healthAnswer(deps: MirrorRoutesDeps): Answer {
  const { keys, membership, list, follower, withdrawals, cosigning, failure, now } = deps;
  const broken = failure();
  if (broken) return problemAnswer(503, 'broken', broken.message);
  const { open, overdue } = withdrawals.state();
  const facts = {
    status: overdue > 0 ? 'behind' : 'ok',
    role: 'mirror',
    host: keys.hostId,
    origin: membership.state(),
  };
  return jsonAnswer(
    200,
    {
      ...facts,
      hostsSerial: list.current()?.list.serial ?? null,
      log: logHealth(follower, now()),
      withdrawals: { open, overdue },
      ...cosigning.health(),
    },
    { 'cache-control': CACHE.noStore },
  );
}

function kindOf(asked: NpmRequest): string {
  return asked.kind === 'federation'
    ? `federation-${KINDS.has(asked.path[0] ?? '') ? asked.path[0] : 'other'}`
    : asked.kind;
}
/** First segments that may name a counter: never one that a stranger makes up. */
const KINDS = new Set(['blob', 'checkpoint', 'head', 'hosts', 'identity', 'keys', 'tile', 'witness']);

function notHere(): NotFoundError {
  return new NotFoundError('this is a mirror: it serves blobs only; use the door of your registry');
}
