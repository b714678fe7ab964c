/** The origin's paths under `/-/federation/`: content by its hash, the keys, the list of hosts, the feed, membership. */

import { utf8 } from '../core/bytes.ts';
import { NotFoundError, TooManyRequestsError, UnauthorizedError, UpstreamError } from '../core/errors.ts';
import { parseHostKey } from '../core/host-keys.ts';
import { CACHE, etagOf, planRead } from '../core/http-semantics.ts';
import { NonceMemory, readSignature, verifyRequest } from '../core/http-signature.ts';
import { CONTROL_BODY_BYTES_MAX } from '../core/limits.ts';
import { checkMarkAsOrigin } from '../core/mark.ts';
import { formatMeasured, type Measured } from '../core/measured.ts';
import { formatApplyAnswer, parseApplication, parseHeartbeat } from '../core/membership.ts';
import { TokenBuckets } from '../core/token-bucket.ts';
import { checkedHex, contentAnswer, contentPath } from '../door/content.ts';
import type { Forms } from '../door/forms.ts';
import { isLogPath, type LogAnswers } from '../door/log-answers.ts';
import { blobAnswer, type ReadableBlob } from '../io/blob-answer.ts';
import type { BlobId, BlobStore } from '../io/blob-store.ts';
import { type Answer, type Incoming, jsonAnswer, problemAnswer } from '../io/http-server.ts';
import type { OriginKeys } from '../io/key-file.ts';
import type { Metrics } from '../io/metrics.ts';
import type { Hosts } from './hosts/hosts.ts';
import type { Gossip } from './log/gossip.ts';

export type FederationRoutesDeps = {
  readonly hosts: Hosts;
  readonly keys: OriginKeys;
  /** Everything that is named by its sha256. */
  readonly blobs: BlobStore;
  readonly forms: Forms;
  /**
   * A tarball of the index, fetched first if it must be; null for a hash that the index doesn't know.
   * @throws WithdrawnError, UpstreamError and its kin
   */
  readonly openTarball: (sha512: string) => Promise<ReadableBlob | null>;
  /** What a tarball of the index was measured to be; null while it isn't. */
  readonly measured: (sha512: string) => Promise<Measured | null>;
  /** Takes bytes off a client network's budget for the window; false if there are not that many left. */
  readonly spend: (network: string, bytes: number) => boolean;
  /** A client of this network came back from the host: not to be sent there again for a while. */
  readonly avoid: (network: string, hostId: string) => void;
  /** Checkpoint, tiles and entries. */
  readonly logAnswers: LogAnswers;
  /** The newest checkpoint that reached the quorum of the origin's policy; null if there is none. */
  readonly witnessed?: () => string | null;
  readonly gossip: Gossip;
  readonly metrics: Metrics;
  /** Unix ms. */
  readonly now: () => number;
};

export type FederationRoutes = (request: Incoming, path: readonly string[], query: string) => Promise<Answer>;

/** Paths of one or two segments: which method they take, and who answers. */
type Route = { readonly method: 'GET' | 'POST'; readonly answer: (request: Incoming) => Promise<Answer> | Answer };

export function createFederationRoutes(deps: FederationRoutesDeps): FederationRoutes {
  const guard = createGuard(deps);
  const keysEtag = etagOf('keys', Buffer.from(deps.keys.note).toString());
  const routes: Readonly<Record<string, Route>> = {
    keys: { method: 'GET', answer: (request) => noteAnswer(request, deps.keys.note, keysEtag) },
    hosts: { method: 'GET', answer: (request) => listAnswer(deps.hosts, request) },
    changes: { method: 'GET', answer: (request) => feedAnswer(deps.hosts, guard, request) },
    'checkpoint/witnessed': {
      method: 'GET',
      answer: (request) => witnessedAnswer(request, deps.witnessed?.() ?? null),
    },
    'hosts/apply': { method: 'POST', answer: (request) => applyAnswer(deps.hosts, guard, request) },
    'hosts/heartbeat': { method: 'POST', answer: (request) => heartbeatAnswer(deps.hosts, guard, request) },
  };

  return async (request, path, query) => {
    const name = path.join('/');
    const route = Object.hasOwn(routes, name) ? routes[name] : contentRoute(deps, path, query);
    if (!route) throw new NotFoundError(`there is no /-/federation/${name} at an origin`);
    request.kind = `federation-${Object.hasOwn(routes, name) ? name.replace('/', '-') : path[0]}`;
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    if (method !== route.method) {
      return problemAnswer(405, 'method-not-allowed', `use ${route.method} here`, { allow: route.method });
    }
    return deps.gossip(request, await route.answer(request));
  };
}

function contentRoute(deps: FederationRoutesDeps, path: readonly string[], query: string): Route | undefined {
  const [kind, second = '', third = ''] = path;
  if (kind === 'blob' && second === 'sha512' && path.length === 3) {
    return { method: 'GET', answer: (request) => tarballAnswer(deps, request, third, query) };
  }
  if (kind === 'measured' && path.length === 2) {
    return { method: 'GET', answer: (request) => measuredAnswer(deps, request, second) };
  }
  if (isLogPath(path)) return { method: 'GET', answer: (request) => deps.logAnswers(request, path) };
  const content = contentPath(path);
  return content ? { method: 'GET', answer: (request) => contentAnswer(request, content, deps) } : undefined;
}

async function tarballAnswer(
  deps: FederationRoutesDeps,
  request: Incoming,
  hex: string,
  query: string,
): Promise<Answer> {
  const id: BlobId = { algorithm: 'sha512', hex: checkedHex(hex, 128) };
  const blob = await deps.openTarball(hex);
  if (!blob) throw new NotFoundError(`the index has no tarball sha512 ${hex}`);
  const mark = new URLSearchParams(query).get('direct');
  if (mark !== null && request.method === 'GET') takeBack(deps, request, hex, mark, blob.size);
  return blobAnswer(request, id, blob);
}

/** For hosts that stream a tarball while they fetch it. Not immutable: what isn't measured yet will be. */
async function measuredAnswer(deps: FederationRoutesDeps, request: Incoming, hex: string): Promise<Answer> {
  const measured = await deps.measured(checkedHex(hex, 128));
  if (!measured) throw new NotFoundError(`no tarball sha512 ${hex} was measured here`);
  const body = formatMeasured(measured);
  const etag = etagOf('measured', hex);
  const plan = planRead(request.method, request.headers, { etag, size: body.length, allowRange: false });
  const headers = { 'cache-control': CACHE.byName, 'content-type': 'application/json; charset=utf-8', ...plan.headers };
  return { status: plan.status, headers, body: plan.body ? body : null };
}

/** A client that a host sent back: counted against the host, and against what we serve this network because of hosts. */
function takeBack(deps: FederationRoutesDeps, request: Incoming, sha512: string, text: string, size: number): void {
  const mark = checkMarkAsOrigin(text, sha512, deps.keys.markSecret, deps.now());
  if (mark) {
    const { hostId } = mark;
    deps.metrics.counter('host_bounces_total', 'Clients that a host sent back', ['host']).inc({ host: hostId });
    deps.avoid(request.network, hostId);
    void deps.hosts.strike(hostId);
  }
  if (!deps.spend(request.network, size)) {
    throw new TooManyRequestsError(
      'this network was served too much after failures of hosts; try again in some minutes',
    );
  }
}

function witnessedAnswer(request: Incoming, note: string | null): Answer {
  if (note === null) throw new NotFoundError('no checkpoint here was cosigned by the quorum of a policy');
  return noteAnswer(request, utf8(note), etagOf('checkpoint', note));
}

function listAnswer(hosts: Hosts, request: Incoming): Answer {
  const published = hosts.publishedList();
  if (!published) throw new UpstreamError({ what: 'list of hosts', reason: 'this origin is still starting' });
  return noteAnswer(request, published.note, published.etag);
}

function noteAnswer(request: Incoming, note: Uint8Array, etag: string): Answer {
  const plan = planRead(request.method, request.headers, { etag, size: note.length, allowRange: false });
  const headers = { 'cache-control': 'no-cache', 'content-type': 'text/plain; charset=utf-8', ...plan.headers };
  return { status: plan.status, headers, body: plan.body ? note : null };
}

/** Anyone may listen; with a host's signature it is that host's presence. */
function feedAnswer(hosts: Hosts, guard: Guard, request: Incoming): Answer {
  const headers = { 'content-type': 'text/event-stream', 'cache-control': CACHE.noStore };
  if (request.method === 'HEAD') return { status: 200, headers, body: null };
  const hostId = guard.hostOf(request, null, (id) => hosts.publicKeyOf(id));
  const { feed, closed } = hosts.openFeed(hostId, lastEventId(request), request.network);
  return { status: 200, headers, body: feed.body, onClose: closed };
}

function lastEventId({ headers }: Incoming): string | null {
  const value = headers['last-event-id'];
  return typeof value === 'string' ? value : null;
}

/** Signed by the very key that applies: whoever has the key is the host. */
async function applyAnswer(hosts: Hosts, guard: Guard, request: Incoming): Promise<Answer> {
  guard.checkPace(request);
  const body = await request.body(CONTROL_BODY_BYTES_MAX);
  const application = parseApplication(body);
  const { hostId, publicKey } = parseHostKey(application.key);
  const signerOf = hosts.publicKeyOf(hostId) ? guard.hostOf : guard.applicantOf;
  const signer = signerOf(request, body, (id) => (id === hostId ? publicKey : null));
  if (signer !== hostId) throw new UnauthorizedError('an application must be signed by the key that applies');
  const answer = await hosts.apply(application, request.network);
  const status = answer.status === 'approved' ? 200 : 202;
  return { status, headers: { ...JSON_HEADERS }, body: formatApplyAnswer(answer) };
}

async function heartbeatAnswer(hosts: Hosts, guard: Guard, request: Incoming): Promise<Answer> {
  const body = await request.body(CONTROL_BODY_BYTES_MAX);
  const hostId = guard.hostOf(request, body, (id) => hosts.publicKeyOf(id));
  if (hostId === null) throw new UnauthorizedError('a heartbeat must be signed by its host');
  hosts.heartbeat(hostId, parseHeartbeat(body));
  return jsonAnswer(200, { ok: true }, { 'cache-control': CACHE.noStore });
}

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8', 'cache-control': CACHE.noStore };

type KeyOf = (hostId: string) => Uint8Array | null;

/** Who signed a request. Null for an unsigned one; any signature that is not good is an UnauthorizedError. */
type Guard = {
  hostOf(request: Incoming, body: Uint8Array | null, keyOf: KeyOf): string | null;
  applicantOf(request: Incoming, body: Uint8Array | null, keyOf: KeyOf): string | null;
  /** @throws TooManyRequestsError for a client network that applies faster than honest hosts do */
  checkPace(request: Incoming): void;
};

/** An application costs two public-key operations and a write. Several hosts behind one address start together. */
const APPLY_PACE = { burst: 200, perSecond: 5 };

/** Strangers make keys as they like, so the nonces of known hosts are remembered apart: they can't be crowded out. */
function createGuard({ keys, now }: FederationRoutesDeps): Guard {
  const signerOf = (nonces: NonceMemory) => (request: Incoming, body: Uint8Array | null, keyOf: KeyOf) => {
    const signature = readSignature(request.headers);
    if (!signature) return null;
    const publicKey = keyOf(signature.keyId);
    if (!publicKey) throw new UnauthorizedError(`no host ${signature.keyId} applied here`);
    const { method, url, headers } = request;
    verifyRequest({ method, url, headers, body }, signature, { publicKey, logName: keys.logName, now: now() });
    nonces.use(signature, now());
    return signature.keyId;
  };
  const pace = new TokenBuckets(APPLY_PACE);
  return {
    hostOf: signerOf(new NonceMemory(now())),
    applicantOf: signerOf(new NonceMemory(now())),
    checkPace({ network }) {
      if (!pace.take(network, now()))
        throw new TooManyRequestsError('this network applies too often; try again in a minute');
    },
  };
}
