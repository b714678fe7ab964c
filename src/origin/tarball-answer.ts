/**
 * A request for a tarball by name: which version, who serves it, and the answer.
 *
 * The version's pinned hash is settled first, so that whoever serves the bytes has no say in which bytes they are.
 */
import { type Client, checksFirst, requestingClient, resendsToken } from '../core/clients.ts';
import { type Door, requestHostname } from '../core/door.ts';
import { NotFoundError } from '../core/errors.ts';
import { CACHE, planRead, reprDigest } from '../core/http-semantics.ts';
import { type PinnedHash, parsePinned } from '../core/integrity.ts';
import { type Decision, decideTarball, redirectLocation, type TarballInput } from '../core/redirect.ts';
import type { RepeatWindow } from '../core/repeats.ts';
import type { HostView, SelectHost } from '../core/selection.ts';
import { staleHeaders } from '../door/answers.ts';
import type { ByteRange } from '../io/blob-store.ts';
import type { Answer, Incoming } from '../io/http-server.ts';
import type { Logger } from '../io/logger.ts';
import type { Metrics } from '../io/metrics.ts';
import { endingAs } from '../io/unfinished-body.ts';
import type { Hosts } from './hosts/hosts.ts';
import { type PackageIndex, versionOfFile } from './index/package-index.ts';
import type { Learner } from './learning/learner.ts';
import type { TarballRef } from './tarballs/download-tarball.ts';
import type { Streaming } from './tarballs/stream-in.ts';
import type { Tarballs } from './tarballs/tarballs.ts';

export type TarballAnswers = {
  answer(incoming: Incoming, name: string, file: string, door: Door): Promise<Answer>;
  /** What {@link answer} would decide for this very request, without recording it. */
  explain(incoming: Incoming, name: string, file: string, door: Door): Promise<Decision & { sha512: string | null }>;
};

/** The origin's hosts as far as a tarball needs them. */
export type TarballHosts = Pick<Hosts, 'views' | 'markFor' | 'strike'>;

/**
 * What a request repeats. `hostId`: who may have failed the one before, and is not to get this one. `inBudget`: the network's
 * budget has room for the origin's own bytes.
 */
type Repeated = { readonly hostId: string | null; readonly inBudget: boolean };
/** RFC 7240: with HEAD, by whoever need not wait until the upstream has sent the bytes. */
const MINIMAL = 'return=minimal';
const TARBALL_TYPE = 'application/octet-stream';
const FIRST: Repeated = { hostId: null, inBudget: false };

export function createTarballAnswers(deps: {
  learner: Learner;
  index: PackageIndex;
  tarballs: Tarballs;
  hosts: TarballHosts;
  repeats: RepeatWindow;
  select: SelectHost;
  redirectUnverified: readonly string[];
  redirectTrusted: readonly string[];
  redirectNever: readonly string[];
  logger: Logger;
  metrics: Metrics;
  now: () => number;
  pause: (ms: number) => Promise<unknown>;
}): TarballAnswers {
  const { learner, index, tarballs, hosts, repeats, now } = deps;
  const served = deps.metrics.counter('tarballs_total', 'Tarball requests at doors, by who served them and why', [
    'by',
    'reason',
    'client',
  ]);
  const unfinished = deps.metrics.counter('unfinished_bodies_total', 'Bodies that could not be finished', ['end']);
  const doubts = deps.metrics.counter('host_doubts_total', 'Client networks that began to avoid a host', ['host']);

  async function resolve(name: string, file: string, network: string): Promise<{ ref: TarballRef; stale: boolean }> {
    const version = versionOfFile(await index.get(name), file);
    if (version === null) throw new NotFoundError(`${name} has no tarball ${JSON.stringify(file)}`);
    const { row, stale } = await learner.version(name, version, network);
    return { ref: { pinned: parsePinned(row.pinned), name, version }, stale };
  }

  async function inputFor(
    incoming: Incoming,
    client: Client,
    pinned: PinnedHash,
    door: Door,
    repeated: Repeated,
  ): Promise<TarballInput> {
    const { headers, address, network } = incoming;
    const avoided = repeats.avoided(network, now());
    return {
      client,
      headOnly: incoming.method === 'HEAD',
      pacoteIntegrity: headerText(headers['pacote-integrity']),
      authorization: headers.authorization !== undefined,
      resendsToken: resendsToken(client, headers['user-agent']),
      door,
      requestHostname: requestHostname(incoming.hostHeader),
      clientAddress: address,
      avoided: repeated.hostId === null ? avoided : avoided.union(new Set([repeated.hostId])),
      pinned,
      held: await tarballs.isHeld(pinned),
      repeatInBudget: repeated.inBudget,
      hosts: hosts.views(),
      redirectUnverified: deps.redirectUnverified,
      redirectTrusted: deps.redirectTrusted,
      redirectNever: deps.redirectNever,
      select: deps.select,
    };
  }

  /** For the operator: looks can't tell a host that lies to clients alone. */
  function noteDoubt(host: string, network: string): void {
    doubts.inc({ host });
    deps.logger.warn(
      { host, network },
      'tarballs came back from a host, which may have sent wrong bytes; its clients avoid it',
    );
  }

  function isTrusted(hostId: string | null): boolean {
    return hosts.views().some(({ id, trusted }) => id === hostId && trusted);
  }

  /** Records the request, has the host looked at that may have failed the one before, and keeps a hasty client from harm. */
  async function record(incoming: Incoming, client: Client, pinned: PinnedHash): Promise<Repeated> {
    if (pinned.algorithm !== 'sha512' || incoming.method !== 'GET') return FIRST;
    const { repeat, hostId, waitMs, doubted } = repeats.seen(incoming.network, client.id, pinned.hex, now());
    if (!repeat) return FIRST;
    if (hostId !== null && repeats.strikes(hostId, now())) void hosts.strike(hostId, pinned.hex);
    if (hostId !== null && doubted) noteDoubt(hostId, incoming.network);
    if (waitMs > 0 && !checksFirst(client) && !isTrusted(hostId)) await deps.pause(waitMs);
    const size = (await tarballs.size(pinned.hex)) ?? 0;
    return { hostId, inBudget: repeats.spend(incoming.network, size, now()) };
  }

  function redirect(incoming: Incoming, client: Client, host: HostView, sha512: string, mark: string): Answer {
    repeats.sent(incoming.network, client.id, sha512, host.id, now());
    const location = redirectLocation(host.url, sha512, mark);
    return { status: 302, headers: { location, 'cache-control': CACHE.noStore, 'content-length': '0' }, body: null };
  }

  /** What is known without the bytes: that the index has the version. */
  function minimal({ pinned }: TarballRef, stale: boolean): Answer {
    const digest = pinned.algorithm === 'sha512' ? { 'repr-digest': reprDigest(pinned.hex) } : {};
    const headers = { 'content-type': TARBALL_TYPE, 'preference-applied': MINIMAL, ...digest, ...staleHeaders(stale) };
    return { status: 200, headers: { ...headers, 'cache-control': CACHE.noStore }, body: null };
  }

  async function serve(incoming: Incoming, client: Client, ref: TarballRef, stale: boolean): Promise<Answer> {
    const streaming = checksFirst(client) && incoming.method === 'GET' ? await tarballs.begin(ref) : null;
    const sha512 = streaming ? ref.pinned.hex : await tarballs.fetch(ref);
    const size = streaming?.size ?? (await tarballs.size(sha512));
    if (size === null) throw new Error(`the tarball of ${ref.name}@${ref.version} left the store while it was served`);
    const plan = planRead(incoming.method, incoming.headers, { etag: `"sha512-${sha512}"`, size, allowRange: true });
    const range = plan.range ?? { start: 0, end: size };
    const send = async () =>
      streaming ? { body: readAlong(client, streaming, range) } : tarballs.send(sha512, size, range);
    const headers = {
      'content-type': TARBALL_TYPE,
      'cache-control': CACHE.byName,
      'repr-digest': reprDigest(sha512),
      ...staleHeaders(stale),
      ...plan.headers,
    };
    return { status: plan.status, headers, ...(plan.body ? await send() : { body: null }) };
  }

  /** What is coming in, ended as the client recovers if the rest of it does not come. */
  function readAlong(client: Client, { read }: Streaming, range: ByteRange): AsyncIterable<Uint8Array> {
    return endingAs(client.onBadBody, read(range), range.end - range.start, () =>
      unfinished.inc({ end: client.onBadBody }),
    );
  }

  return {
    async answer(incoming, name, file, door) {
      const { ref, stale } = await resolve(name, file, incoming.network);
      if (incoming.method === 'HEAD' && incoming.headers.prefer === MINIMAL) return minimal(ref, stale);
      const client = requestingClient(incoming.headers);
      const repeated = await record(incoming, client, ref.pinned);
      const decision = decideTarball(await inputFor(incoming, client, ref.pinned, door, repeated));
      const mark = decision.by === 'host' ? hosts.markFor(decision.host.id, door.id, ref.pinned.hex) : null;
      if (decision.by === 'host' && mark !== null) {
        served.inc({ by: 'host', reason: 'verifies', client: client.id });
        return redirect(incoming, client, decision.host, ref.pinned.hex, mark);
      }
      served.inc({ by: 'origin', reason: decision.by === 'origin' ? decision.reason : 'no-host', client: client.id });
      return serve(incoming, client, ref, stale);
    },

    async explain(incoming, name, file, door) {
      const { ref } = await resolve(name, file, incoming.network);
      const decision = decideTarball(
        await inputFor(incoming, requestingClient(incoming.headers), ref.pinned, door, FIRST),
      );
      return { ...decision, sha512: await tarballs.sha512Of(ref.pinned) };
    },
  };
}

function headerText(value: string | string[] | undefined): string | null {
  return Array.isArray(value) ? value.join(' ') : (value ?? null);
}
