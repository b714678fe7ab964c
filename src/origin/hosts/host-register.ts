/**
 * Membership of hosts: applications, admissions, suspensions, evictions. Reads come from memory; each change is written
 * first. The procedures run one after the other, and each names its commit point.
 */
import { ConflictError, ForbiddenError, NotFoundError, TooManyRequestsError } from '../../core/errors.ts';
import { asReason } from '../../core/fields.ts';
import { parseHostKey } from '../../core/host-keys.ts';
import { checkHostUrl } from '../../core/host-url.ts';
import { APPLICATION_AGE_MS_MAX, APPLICATIONS_MAX, APPLICATIONS_PER_NETWORK_MAX } from '../../core/limits.ts';
import type { Application } from '../../core/membership.ts';
import { evictionOf, type HostRows, isInLog, type Standing, standingOf } from '../../core/standing.ts';
import { type ApplicationRow, type Change, change } from '../../core/tables.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { Serial } from '../../io/serial.ts';
import type { Log } from '../log/log.ts';

export type HostRegister = {
  get(hostId: string): HostRows | null;
  all(): IterableIterator<[hostId: string, HostRows]>;
  /**
   * Takes an application whose signature was checked, anew or again.
   * @param network client network of the applicant
   * @throws BadRequestError or ForbiddenError for a URL that no host may have, ForbiddenError for an evicted host,
   * TooManyRequestsError when too many applications wait
   */
  apply(application: Application, network: string): Promise<Standing>;
  /** Admits a host that proves its URL now; also ends its suspension. */
  approve(hostId: string): Promise<void>;
  /** Takes a host out until it is approved again. */
  suspend(hostId: string, reason: string): Promise<void>;
  /** Takes a host out for ever: its identity key never comes back. */
  evict(hostId: string, reason: string): Promise<void>;
};

export type HostRegisterDeps = {
  readonly store: MetadataStore;
  readonly log: Pick<Log, 'append'>;
  /** Host names of the configured doors. */
  readonly doorHostnames: () => readonly string[];
  readonly allowPrivate: boolean;
  /** Fetches and checks the proof that the host answers at its URL; rejects if it doesn't. */
  readonly prove: (application: Application) => Promise<void>;
  /** Unix ms. */
  readonly now: () => number;
};

/** An application that is waiting and repeated is written again only now and then. */
const REWRITE_MS = 60 * 60 * 1_000;

export async function openHostRegister(deps: HostRegisterDeps): Promise<HostRegister> {
  const register = new Register(deps);
  await register.load();
  return register;
}

class Register implements HostRegister {
  readonly #deps: HostRegisterDeps;
  readonly #hosts = new Map<string, HostRows>();
  /** Client networks of waiting applications: kept in memory only. */
  readonly #networks = new Map<string, string>();
  readonly #serial = new Serial();

  constructor(deps: HostRegisterDeps) {
    this.#deps = deps;
  }

  async load(): Promise<void> {
    for (const { key } of await this.#deps.store.scan('application', '')) await this.#reload(key);
  }

  get(hostId: string): HostRows | null {
    return this.#hosts.get(hostId) ?? null;
  }

  all(): IterableIterator<[string, HostRows]> {
    return this.#hosts.entries();
  }

  /** Commit point: the write of the row. Before it nothing has changed; the host applies again until it is answered. */
  apply(application: Application, network: string): Promise<Standing> {
    return this.#serial.run(async () => {
      const { hostId } = parseHostKey(application.key);
      const before = this.get(hostId);
      if (before) refuseEvicted(hostId, before);
      if (before && application.private && isInLog(before)) {
        throw new ConflictError(`host ${hostId} is in the public log; a private host needs an identity key of its own`);
      }
      checkHostUrl(application.url, this.#urlRules());
      if (!before) await this.#makeRoom(network);
      const row = {
        ...application,
        applied: this.#deps.now(),
        approved: staysApproved(before, application),
        evicted: null,
      };
      if (!before || differs(before.application, row)) {
        await this.#write(hostId, [change('application', hostId, row)]);
      }
      const rows = this.#hosts.get(hostId) as HostRows;
      if (standingOf(rows) === 'pending') this.#networks.set(hostId, network);
      return standingOf(rows);
    });
  }

  /**
   * Order: proof of the URL, log, local row. The local row is the commit point of the host's return into the rotation;
   * a crash between journal and row leaves a host that the log lists and nobody is sent to, until it is approved again.
   */
  async approve(hostId: string): Promise<void> {
    const proven = this.#existing(hostId).application;
    refuseEvicted(hostId, this.#existing(hostId));
    checkHostUrl(proven.url, this.#urlRules());
    await this.#deps.prove(proven);
    await this.#serial.run(async () => {
      const rows = await this.#fresh(hostId);
      if (rows.application.url !== proven.url)
        throw new ConflictError(`host ${hostId} has just changed its URL; try again`);
      const { url, key } = rows.application;
      const inLog = isInLog(rows) && rows.admitted?.url === url && rows.admitted.key === key;
      if (!rows.application.private && !inLog) {
        await this.#deps.log.append([{ kind: 'host-admit', host: hostId, url, key }]);
      }
      const approved = change('application', hostId, { ...rows.application, approved: true });
      await this.#write(hostId, [approved, change('suspension', hostId, null)]);
    });
  }

  /** Commit point: the write of the row. */
  suspend(hostId: string, reason: string): Promise<void> {
    return this.#serial.run(async () => {
      await this.#fresh(hostId);
      const row = { since: this.#deps.now(), reason: asReason(reason) };
      await this.#write(hostId, [change('suspension', hostId, row)]);
    });
  }

  /**
   * Order: journal, local row. The journal is the commit point for a host that the log lists: it is out from then on,
   * whatever the local row says. For a private or a waiting host the local row is all there is.
   */
  evict(hostId: string, reason: string): Promise<void> {
    return this.#serial.run(async () => {
      const rows = await this.#fresh(hostId);
      const line = asReason(reason);
      if (isInLog(rows)) await this.#deps.log.append([{ kind: 'host-evict', host: hostId, reason: line }]);
      const row = { ...rows.application, approved: false, evicted: line };
      await this.#write(hostId, [change('application', hostId, row)]);
    });
  }

  #urlRules(): { doorHostnames: readonly string[]; allowPrivate: boolean } {
    return { doorHostnames: this.#deps.doorHostnames(), allowPrivate: this.#deps.allowPrivate };
  }

  #existing(hostId: string): HostRows {
    const rows = this.get(hostId);
    if (!rows) throw new NotFoundError(`there is no host ${hostId}; "hosts list" shows those that applied`);
    return rows;
  }

  /** From the store, since a procedure that failed half-way may have changed more than it told. */
  async #fresh(hostId: string): Promise<HostRows> {
    await this.#reload(hostId);
    const rows = this.#existing(hostId);
    refuseEvicted(hostId, rows);
    return rows;
  }

  async #write(hostId: string, changes: Change[]): Promise<void> {
    await this.#deps.store.write(changes);
    await this.#reload(hostId);
  }

  async #reload(hostId: string): Promise<void> {
    const { store } = this.#deps;
    const application = await store.get('application', hostId);
    if (!application) return void this.#hosts.delete(hostId);
    const [admitted, suspension] = [await store.get('host', hostId), await store.get('suspension', hostId)];
    this.#hosts.set(hostId, { application, admitted, suspension });
  }

  /** Drops applications that nobody repeated for a day, then sees whether one more may wait. */
  async #makeRoom(network: string): Promise<void> {
    const pending = [...this.#hosts].filter(([, rows]) => standingOf(rows) === 'pending' && !isInLog(rows));
    const oldest = this.#deps.now() - APPLICATION_AGE_MS_MAX - REWRITE_MS;
    const expired = pending.filter(([, { application }]) => application.applied < oldest).map(([hostId]) => hostId);
    if (expired.length > 0) await this.#deps.store.write(expired.map((hostId) => change('application', hostId, null)));
    for (const hostId of expired) this.#forget(hostId);
    const fromNetwork = pending.filter(([hostId]) => this.#networks.get(hostId) === network).length;
    if (pending.length - expired.length >= APPLICATIONS_MAX || fromNetwork >= APPLICATIONS_PER_NETWORK_MAX) {
      throw new TooManyRequestsError('too many applications wait for this origin’s admin; apply again tomorrow');
    }
  }

  #forget(hostId: string): void {
    this.#hosts.delete(hostId);
    this.#networks.delete(hostId);
  }
}

/** Approval is for a URL and a kind of membership; everything else a host may change by itself. */
function staysApproved(before: HostRows | null, { url, private: hidden }: Application): boolean {
  const row = before?.application;
  return row?.approved === true && row.url === url && row.private === hidden;
}

function differs(before: ApplicationRow, after: ApplicationRow): boolean {
  const { applied: at, ...old } = before;
  const { applied, ...fresh } = after;
  return (
    applied - at >= REWRITE_MS || Object.entries(fresh).some(([name, value]) => old[name as keyof typeof old] !== value)
  );
}

function refuseEvicted(hostId: string, rows: HostRows): void {
  const reason = evictionOf(rows);
  if (reason !== null) throw new ForbiddenError(`host ${hostId} was evicted: ${reason}`);
}
