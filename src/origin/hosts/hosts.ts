/**
 * The hosts of this origin as everything else sees them: who is admitted (host-register), who is there (presence), who is
 * well (probe, host-health), how they all stand by that (watched-hosts), what is published of them (host-list-publisher)
 * and who hears of it (feed-news).
 */
import { type Door, hostnameOf } from '../../core/door.ts';
import { BadRequestError, ForbiddenError } from '../../core/errors.ts';
import { parseHostKey } from '../../core/host-keys.ts';
import { listedDoors } from '../../core/hosts-list.ts';
import type { Application, ApplyAnswer, Heartbeat } from '../../core/membership.ts';
import type { HostView } from '../../core/selection.ts';
import { type HostRows, type Standing, standingOf } from '../../core/standing.ts';
import type { HttpClient } from '../../io/http-client.ts';
import type { OriginKeys } from '../../io/key-file.ts';
import type { Logger } from '../../io/logger.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import type { Metrics } from '../../io/metrics.ts';
import { Serial } from '../../io/serial.ts';
import { createVisit } from '../../io/visit.ts';
import type { Log } from '../log/log.ts';
import { createFeedNews, type FeedNews } from './feed-news.ts';
import type { Feed } from './feeds.ts';
import { createHostHealth, type HostHealth } from './host-health.ts';
import { createHostListPublisher, type HostListPublisher, type PublishedList } from './host-list-publisher.ts';
import { createMarkMaker, type MarkMaker } from './host-marks.ts';
import { createHostProgress, type HostProgress, type HostProgressDeps } from './host-progress.ts';
import { type HostRegister, openHostRegister } from './host-register.ts';
import { countStates, type HostListing, listedHosts } from './host-views.ts';
import { createPresence, type Presence } from './presence.ts';
import { createProber, PROBE_INTERVAL_MS, type Prober, type ProberDeps } from './probe.ts';
import { proveHost } from './prove-host.ts';
import { type WatchedHosts, type WatchedHostsDeps, watchHosts } from './watched-hosts.ts';
import type { WithdrawalJudge } from './withdrawal-judge.ts';

export type HostsDeps = Pick<WatchedHostsDeps, 'isTrustedHost' | 'avoidedBy'> & {
  readonly store: MetadataStore;
  readonly log: Pick<Log, 'append' | 'checkpoint' | 'subscribe'>;
  readonly keys: OriginKeys;
  /** Configured doors, whose host names are closed to hosts, and the bound port, which counts from `start` on. */
  readonly doors: () => { readonly doors: readonly Door[]; readonly port: number };
  readonly allowPrivate: boolean;
  /** For hosts: follows no redirects, and refuses private addresses unless `allowPrivate`. */
  readonly client: HttpClient;
  /** A tarball to look at hosts with; null while there is none. */
  readonly pickBlob: ProberDeps['pickBlob'];
  /** Hosts of the same operator on the same machine: approved as soon as they apply. */
  readonly isOwnHost?: (hostId: string) => boolean;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Unix ms. */
  readonly now?: () => number;
  /** Ms of a clock that never jumps. */
  readonly monotonic?: () => number;
  readonly heartbeatSeconds?: number;
  readonly probeIntervalMs?: number;
  /** Left out: nothing is known of withdrawals, and nothing is decided by them. */
  readonly withdrawals?: WithdrawalJudge;
} & Pick<HostProgressDeps, 'cosignatures' | 'behindMs'>;

export type Hosts = {
  apply(application: Application, network: string): Promise<ApplyAnswer>;
  approve(hostId: string): Promise<void>;
  suspend(hostId: string, reason: string): Promise<void>;
  evict(hostId: string, reason: string): Promise<void>;
  list(): HostListing[];
  /** For decisions. The same array until something changes. */
  views(): readonly HostView[];
  /** Raw identity key of a host that applied; null for an unknown one. */
  publicKeyOf(hostId: string): Uint8Array | null;
  /** A mark for a redirect to this host; null if it is unknown. */
  markFor(hostId: string, doorId: string, sha512: string): string | null;
  /** @throws ForbiddenError unless approved, BadRequestError for another URL than the approved one */
  heartbeat(hostId: string, heartbeat: Heartbeat): void;
  /**
   * Opens the change feed; a host's feed is its presence. `closed` is to be called when its connection is gone.
   * @param hostId whose signature was checked, or null for anyone
   * @param lastEventId of the event that the reader saw last: it is not told that again
   * @param network of the reader, for who gives up a place where all are taken
   */
  openFeed(hostId: string | null, lastEventId?: string | null, network?: string): { feed: Feed; closed: () => void };
  /** Null until `start`. */
  publishedList(): PublishedList | null;
  /** A client came back from this host: look at it now. Resolves when that is done; never rejects. */
  strike(hostId: string, sha512?: string | null): Promise<void>;
  /** Publishes the list and begins to look at hosts. Call it when the server listens. */
  start(): Promise<void>;
  close(): Promise<void>;
};

const HEARTBEAT_SECONDS = 15;

export async function createHosts(deps: HostsDeps): Promise<Hosts> {
  const hosts = new OriginHosts(deps);
  await hosts.open();
  return hosts;
}

class OriginHosts implements Hosts {
  readonly #deps: HostsDeps;
  readonly #now: () => number;
  readonly #monotonic: () => number;
  readonly #heartbeatSeconds: number;
  readonly #presence: Presence;
  readonly #prober: Prober;
  readonly #news: FeedNews;
  readonly #publishing = new Serial();
  readonly #marks: MarkMaker;
  readonly #progress: HostProgress;
  readonly #health: HostHealth;
  readonly #watched: WatchedHosts;
  #register!: HostRegister;
  #publisher!: HostListPublisher;
  #unsubscribe = (): void => undefined;
  #started = false;

  constructor(deps: HostsDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? Date.now;
    this.#monotonic = deps.monotonic ?? (() => performance.now());
    this.#heartbeatSeconds = deps.heartbeatSeconds ?? HEARTBEAT_SECONDS;
    this.#progress = createHostProgress({ ...deps, monotonic: this.#monotonic });
    this.#health = createHostHealth({ logger: deps.logger, metrics: deps.metrics, now: this.#now });
    this.#marks = createMarkMaker(deps.keys, this.#now);
    this.#news = createFeedNews({
      serial: () => this.#publisher.current()?.list.serial ?? null,
      checkpoint: () => deps.log.checkpoint(),
    });
    const changed = (hostId: string) => this.#presenceChanged(hostId);
    this.#presence = createPresence({ monotonic: this.#monotonic, heartbeatSeconds: this.#heartbeatSeconds, changed });
    this.#watched = watchHosts({
      ...{ presence: this.#presence, progress: this.#progress, health: this.#health, withdrawals: deps.withdrawals },
      ...{ hosts: () => this.#register.all(), isTrustedHost: deps.isTrustedHost, avoidedBy: deps.avoidedBy },
      ...{ now: this.#now, monotonic: this.#monotonic },
    });
    this.#prober = createProber({
      visit: createVisit(deps.allowPrivate),
      targets: () => this.views().filter(({ approved, present }) => approved && present),
      pickBlob: deps.pickBlob,
      markFor: (hostId, sha512) => this.markFor(hostId, this.#someDoor(), sha512),
      hostsVkey: deps.keys.hosts.vkey,
      logName: deps.keys.logName,
      record: (hostId, result) => {
        if (this.#health.record(hostId, result)) this.#watched.changed();
      },
      withdrawnFor: async (hostId) => (await deps.withdrawals?.question(hostId)) ?? null,
      recordWithdrawn: (hostId, asked, isServed) => {
        if (deps.withdrawals?.answered(hostId, asked, isServed)) this.#watched.changed();
      },
      intervalMs: deps.probeIntervalMs ?? PROBE_INTERVAL_MS,
    });
  }

  async open(): Promise<void> {
    const { store, log, keys, client, doors, allowPrivate } = this.#deps;
    const { logName, hosts: hostsKey } = keys;
    this.#register = await openHostRegister({
      store,
      log,
      doorHostnames: () => doors().doors.map(({ url }) => hostnameOf(url)),
      allowPrivate,
      prove: (application) => proveHost(client, application, logName),
      now: this.#now,
    });
    const published = this.#news.listed;
    this.#publisher = await createHostListPublisher({ store, logName, hostsKey, now: this.#now, published });
    this.#deps.metrics.gauge('hosts', 'Hosts by what they are fit for', ['state'], (gauge) => {
      for (const [state, count] of countStates(this.views())) gauge.set({ state }, count);
    });
  }

  async start(): Promise<void> {
    this.#started = true;
    this.#unsubscribe = this.#deps.log.subscribe((published) => {
      this.#progress.grown(published.checkpoint.size);
      this.#news.grown(published);
    });
    this.#progress.grown(this.#deps.log.checkpoint()?.checkpoint.size ?? 0);
    await this.#publish();
    this.#prober.start();
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    await this.#prober.close();
    this.#news.close();
    await this.#publishing.idle();
  }

  async apply(application: Application, network: string): Promise<ApplyAnswer> {
    this.#marks.checkExchangeKey(application.exchange);
    const { hostId } = parseHostKey(application.key);
    const before = this.#standingOf(hostId);
    const standing = await this.#register.apply(application, network);
    if (standing !== before) await this.#membershipChanged(hostId, standing);
    if (standing === 'evicted') throw new ForbiddenError(`host ${hostId} was evicted`);
    if (standing === 'pending' && this.#deps.isOwnHost?.(hostId)) {
      await this.approve(hostId);
      return { host: hostId, status: 'approved', heartbeatSeconds: this.#heartbeatSeconds };
    }
    return { host: hostId, status: standing, heartbeatSeconds: this.#heartbeatSeconds };
  }

  async approve(hostId: string): Promise<void> {
    const before = this.#standingOf(hostId);
    await this.#register.approve(hostId);
    if (before !== 'approved') this.#health.begin(hostId);
    await this.#membershipChanged(hostId, 'approved');
  }

  async suspend(hostId: string, reason: string): Promise<void> {
    await this.#register.suspend(hostId, reason);
    await this.#membershipChanged(hostId, 'suspended');
  }

  async evict(hostId: string, reason: string): Promise<void> {
    await this.#register.evict(hostId, reason);
    await this.#membershipChanged(hostId, 'evicted');
  }

  list(): HostListing[] {
    return this.#watched.list();
  }

  views(): readonly HostView[] {
    return this.#watched.views();
  }

  publicKeyOf(hostId: string): Uint8Array | null {
    const rows = this.#register.get(hostId);
    return rows && parseHostKey(rows.application.key).publicKey;
  }

  markFor(hostId: string, doorId: string, sha512: string): string | null {
    const rows = this.#register.get(hostId);
    return rows && this.#marks.make({ hostId, doorId, sha512, exchange: rows.application.exchange });
  }

  heartbeat(hostId: string, heartbeat: Heartbeat): void {
    const { application } = this.#approved(hostId);
    if (heartbeat.url !== application.url) {
      throw new BadRequestError(`host ${hostId} is approved at ${application.url}; apply again with the new URL`);
    }
    this.#watched.heartbeat(hostId, heartbeat);
  }

  openFeed(hostId: string | null, lastEventId: string | null = null, network = ''): { feed: Feed; closed: () => void } {
    if (hostId !== null) this.#approved(hostId);
    const feed = this.#news.open(hostId === null ? network : null, lastEventId);
    return { feed, closed: hostId === null ? () => undefined : this.#presence.arrive(hostId, feed.end) };
  }

  publishedList(): PublishedList | null {
    return this.#publisher.current();
  }

  strike(hostId: string, sha512: string | null = null): Promise<void> {
    return this.#prober.probeNow(hostId, sha512);
  }

  #approved(hostId: string): HostRows {
    const rows = this.#register.get(hostId);
    const standing = rows ? standingOf(rows) : 'unknown';
    if (!rows || standing !== 'approved') throw new ForbiddenError(`host ${hostId} is ${standing}, not approved`);
    return rows;
  }

  #standingOf(hostId: string): Standing | null {
    const rows = this.#register.get(hostId);
    return rows && standingOf(rows);
  }

  /** Out of the rotation first, then off the list. */
  async #membershipChanged(hostId: string, standing: Standing): Promise<void> {
    this.#watched.changed();
    if (standing !== 'approved') this.#presence.expel(hostId);
    this.#deps.logger.info({ host: hostId, url: this.#register.get(hostId)?.application.url, standing }, 'host');
    if (this.#started) await this.#publish();
  }

  #presenceChanged(hostId: string): void {
    this.#watched.changed();
    const present = this.#presence.isPresent(hostId);
    this.#deps.logger.info({ host: hostId, present }, present ? 'host is connected' : 'host is gone');
    if (present) void this.#prober.probeNow(hostId);
  }

  #publish(): Promise<void> {
    return this.#publishing.run(async () => {
      const { doors, port } = this.#deps.doors();
      await this.#publisher.publish({ doors: listedDoors(doors, port), hosts: listedHosts(this.#register.all()) });
    });
  }

  #someDoor(): string {
    const { doors, port } = this.#deps.doors();
    return listedDoors(doors, port)[0]?.id ?? '00000000';
  }
}
