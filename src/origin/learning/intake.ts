/**
 * Intake: asks the upstream about a package or a version and puts what may be published into the journal.
 *
 * Order: blobs first, then the journal (the commit point), then the note of when the upstream was asked. A crash before
 * the commit point leaves blobs that nothing names; after it, a package that will be asked for once more than needed.
 *
 * A package and single versions of it may be asked for at the same time. What came is judged against the package as it
 * stands then, not as it stood when the question was asked, and by one at a time, so that no pin is overwritten unseen.
 */
import { utf8 } from '../../core/bytes.ts';
import { ConflictError, MalformedError, NotFoundError, UpstreamError } from '../../core/errors.ts';
import { sha256Hex } from '../../core/hash.ts';
import { formatVersionEntry } from '../../core/head.ts';
import type { Incident } from '../../core/learn.ts';
import { PACKUMENT_ROOMS } from '../../core/limits.ts';
import { takeManifest } from '../../core/manifest.ts';
import type { UpstreamRow } from '../../core/tables.ts';
import type { BlobStore } from '../../io/blob-store.ts';
import { createBodyRooms, type Room } from '../../io/body-rooms.ts';
import { createGate } from '../../io/gate.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { SerialByKey } from '../../io/serial.ts';
import { storedBlob } from '../../io/stored-blob.ts';
import { inTurns, sha256InTurns } from '../../io/turn.ts';
import type { Upstream } from '../../io/upstream.ts';
import { putBlobs, restoreBlobs } from '../index/package-blobs.ts';
import { isKnown, listedCount, type PackageIndex, type PackageView } from '../index/package-index.ts';
import type { Log } from '../log/log.ts';
import type { NewEntry } from '../log/log-batch.ts';
import { composeHead, withSequence } from './compose-head.ts';
import type { Freshness } from './freshness.ts';
import { ABSENT, createGoneFollower, GONE, type Gone } from './gone.ts';
import type { Incidents } from './incidents.ts';
import { entriesFor, type Repinned, type RepinOrder, repinnedBy, withdrawnIncident } from './intake-entries.ts';
import { believeMissing } from './missing.ts';
import { type TakeDeps, type TakenPackument, takeNew, takePackument } from './take-packument.ts';
import { noteTarballUrls } from './tarball-urls.ts';
import type { UpstreamKeys } from './upstream-keys.ts';
import type { Withdrawals } from './withdrawals.ts';

export type Intake = {
  /** Asks for the packument and takes it in. Resolves when the tables show the outcome. */
  packument(name: string): Promise<void>;
  /** Asks for one version of a package whose packument is not wanted; nothing happens if there is none. */
  version(name: string, version: string): Promise<void>;
  /**
   * Asks for the packument and takes what it shows for one version in place of what is pinned, by an admin's order.
   * @throws NotFoundError or ConflictError if there is nothing that could be pinned anew
   */
  repin(name: string, order: RepinOrder): Promise<void>;
};

/** Why nothing in an upstream's packument may be published. */
type Refused = { readonly reason: string; readonly heldBack: boolean };
/** What came of an upstream's packument. */
type Outcome = 'taken' | Refused;
/** Its blobs are stored; these entries are not in the log yet. */
type Prepared = { readonly entries: NewEntry[] };

/** Packuments that are split and composed at the same time; bounds memory. */
const TAKING_MAX = 4;

export function createIntake(deps: {
  metadata: MetadataStore;
  blobs: BlobStore;
  log: Log;
  index: PackageIndex;
  upstream: Upstream;
  keys: UpstreamKeys;
  freshness: Freshness;
  incidents: Incidents;
  withdrawals: Withdrawals;
  timeoutMs: number;
  /** Pause before the second look at a package that is gone. */
  secondLookMs: number;
  step?: (name: 'intake:blobs-stored' | 'intake:journaled') => void;
}): Intake {
  const { metadata, blobs, log, index, upstream, keys, freshness, incidents, withdrawals } = deps;
  const taking = createGate(TAKING_MAX);
  const rooms = createBodyRooms(PACKUMENT_ROOMS);
  const judging = new SerialByKey();
  /** Nothing else changes the package while the task runs. */
  const alone = <T>(name: string, task: (view: PackageView) => Promise<T>): Promise<T> =>
    judging.run(name, async () => task(await index.get(name)));

  const { followGone, followAlone } = createGoneFollower({
    ...{ ...deps, rooms, alone },
    commit: (entries) => commit(new Map(), entries),
  });
  const blob = (hex: string): Promise<Uint8Array> => storedBlob(blobs, hex, 'a version');
  const takeDeps: TakeDeps = {
    blob,
    measured: (pinned) => metadata.get('measured', pinned),
    verdict: (name, version, dist, time) => keys.verdict(name, version, dist, time),
    habit: () => keys.habit(),
  };

  async function store(fresh: ReadonlyMap<string, Uint8Array>): Promise<void> {
    await putBlobs(blobs, fresh);
    deps.step?.('intake:blobs-stored');
  }

  async function journal(entries: NewEntry[]): Promise<void> {
    await log.append(entries);
    deps.step?.('intake:journaled');
    await keys.remember();
  }

  async function commit(fresh: ReadonlyMap<string, Uint8Array>, entries: NewEntry[]): Promise<void> {
    await store(fresh);
    await journal(entries);
  }

  /**
   * With an order the version is judged as if it were seen for the first time. Whoever waits for the log holds up nobody
   * who has yet to split and compose.
   */
  async function takeIn(view: PackageView, bytes: Uint8Array, order: RepinOrder | null = null): Promise<Outcome> {
    const prepared = await taking(() => prepare(view, bytes, order));
    if (!('entries' in prepared)) return prepared;
    await journal(prepared.entries);
    return 'taken';
  }

  async function prepare(view: PackageView, bytes: Uint8Array, order: RepinOrder | null): Promise<Prepared | Refused> {
    const rows = await inTurns(view.rows.unpack());
    if (order) rows.delete(order.version);
    const known = { rows, order: view.rows.order(), tags: view.head ? view.tags : null };
    const taken = await takePackument(view.name, bytes, known, takeDeps).catch((error) => {
      throw asUpstreamError(view.name, error);
    });
    await incidents.report(taken.incidents);
    const repin = order && repinnedBy(order, taken, view);
    if (taken.entries.length === 0) {
      const reason = taken.withdrawn.find(({ isGone }) => !isGone)?.reason ?? GONE;
      return { reason, heldBack: taken.incidents.length > 0 };
    }
    await follow(view, taken);
    return { entries: await compose(view, taken, repin) };
  }

  /** Stores what the package is made of now. @returns what the log has to say of it, if anything */
  async function compose(view: PackageView, taken: TakenPackument, repin: Repinned | null): Promise<NewEntry[]> {
    const shown = await composeHead(taken, Math.max(view.seq, 1), blob);
    const composed = withSequence(shown, view);
    await noteTarballUrls(metadata, view.name, taken.urls);
    if (composed) {
      const fresh = repin ? new Map(composed.blobs).set(repin.entry, repin.line) : composed.blobs;
      await store(fresh);
      return entriesFor(taken, composed, repin);
    }
    if (repin) throw new ConflictError(`${view.name}@${repin.order.version} is pinned as the upstream shows it`);
    await restoreBlobs(blobs, shown.blobs);
    if (!view.head) index.forget(view.name);
    return [];
  }

  /** Counts the look, and sees to it that what is gone may be withdrawn. */
  async function follow(view: PackageView, { withdrawn }: TakenPackument): Promise<void> {
    const gone = withdrawn.filter(({ isGone }) => isGone).length;
    if (isKnown(view)) await withdrawals.admit(view.name, { versions: listedCount(view), gone });
    await incidents.report(withdrawn.map((one) => withdrawnIncident(view.name, one)));
  }

  /** One look at the packument; what came is held no longer than this takes. */
  async function look(name: string, room: Room): Promise<Gone | Omit<UpstreamRow, 'checked'>> {
    const view = await index.get(name);
    const before = view.head ? await freshness.validators(name) : null;
    const answer = await upstream.packument(name, before, deps.timeoutMs, room);
    if (answer.kind === 'missing') {
      believeMissing(name, answer, isKnown(view));
      return { emptied: null, reason: GONE, heldBack: false };
    }
    if (answer.kind === 'not-modified') {
      await unchanged(view);
      return before ?? ABSENT;
    }
    const { bytes, etag, lastModified } = answer;
    const body = await sha256InTurns(bytes);
    if (body === before?.body) await unchanged(view);
    else {
      await keys.refresh();
      const outcome = await alone(name, (current) => takeIn(current, bytes));
      if (outcome !== 'taken') return { emptied: body, ...outcome };
    }
    return { etag, lastModified, body, absent: false };
  }

  async function unchanged(view: PackageView): Promise<void> {
    if (isKnown(view)) await withdrawals.admit(view.name, { versions: listedCount(view), gone: 0 });
  }

  async function takeVersion(view: PackageView, version: string, bytes: Uint8Array): Promise<void> {
    const { name } = view;
    // Learned with its package or withdrawn with it, while this was on its way.
    if (view.withdrawn || view.rows.has(version)) return;
    const found: Incident[] = [];
    try {
      const manifest = takeManifest(bytes, name, version);
      const taken = takeNew(name, version, manifest, null, takeDeps, (kind, about, detail) => {
        // This document doesn't say when the version was published, so it can't condemn an expired key.
        if (kind !== 'expired-key') found.push({ kind, subject: `${name}@${about}`, detail });
      });
      if (!taken) return;
      const line = utf8(formatVersionEntry(taken.entry));
      const fresh = new Map(taken.blobs).set(sha256Hex(line), line);
      await noteTarballUrls(metadata, name, new Map(taken.url ? [[version, taken.url]] : []));
      await commit(fresh, [{ kind: 'learned-version', name, version, entry: sha256Hex(line) }]);
      if (!view.head) await freshness.checked(name, { etag: null, lastModified: null, body: null, absent: false });
    } catch (error) {
      throw asUpstreamError(`${name}@${version}`, error);
    } finally {
      await incidents.report(found);
    }
  }

  async function takePackage(name: string): Promise<void> {
    const seen = await rooms((room) => look(name, room));
    if ('emptied' in seen) return followGone(name, seen);
    await followAlone(name);
    await freshness.checked(name, seen);
  }

  return {
    packument: takePackage,

    repin: (name, order) =>
      rooms(async (room) => {
        const answer = await upstream.packument(name, null, deps.timeoutMs, room);
        if (answer.kind === 'missing') believeMissing(name, answer, true);
        if (answer.kind !== 'fresh') throw new NotFoundError(`the upstream has no package ${name}`);
        await keys.refresh();
        await alone(name, (view) => takeIn(view, answer.bytes, order));
        const { etag, lastModified } = answer;
        const body = await sha256InTurns(answer.bytes);
        await freshness.checked(name, { etag, lastModified, body, absent: false });
      }),

    async version(name, version) {
      await keys.refresh();
      const answer = await upstream.manifest(name, version, deps.timeoutMs);
      if (answer.kind === 'missing') {
        // By an upstream without documents of single versions, or by whoever stands in between: the packument tells.
        if (answer.page !== null && (await index.get(name)).head) await takePackage(name);
        return;
      }
      await alone(name, (view) => takeVersion(view, version, answer.bytes));
    },
  };
}

/** A document that can't be read is the upstream's fault, not the client's. */
function asUpstreamError(what: string, error: unknown): unknown {
  if (!(error instanceof MalformedError)) return error;
  return new UpstreamError({ what, reason: error.message }, { cause: error });
}
