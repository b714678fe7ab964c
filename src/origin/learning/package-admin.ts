/** What an origin's operator sees of packages and decides about them. */
import { BadRequestError, NotFoundError } from '../../core/errors.ts';
import type { IncidentKind } from '../../core/learn.ts';
import type { IncidentRow, UpstreamRow, VersionRow } from '../../core/tables.ts';
import type { UpstreamKey } from '../../core/upstream-signature.ts';
import type { PackageIndex, PackageView } from '../index/package-index.ts';
import type { Freshness } from './freshness.ts';
import type { Incidents } from './incidents.ts';
import type { Learner } from './learner.ts';
import type { PinnedKey, UpstreamKeys } from './upstream-keys.ts';
import type { Halt, Withdrawals } from './withdrawals.ts';

/** A package as it stands here. Times in unix ms, but for publish times, which are as the upstream wrote them. */
export type PackageState = {
  readonly name: string;
  readonly head: string | null;
  readonly seq: number;
  readonly withdrawn: string | null;
  /** When the upstream was last asked, and whether it had no such package; null for never, or to be asked anew. */
  readonly asked: Pick<UpstreamRow, 'checked' | 'absent'> | null;
  readonly tags: Readonly<Record<string, string>>;
  /** Listed ones in the head's order, then the others. */
  readonly versions: readonly (Pick<VersionRow, 'state' | 'pinned' | 'time' | 'reason'> & { version: string })[];
  readonly incidents: readonly IncidentRow[];
};

/** A key of the upstream; `by` is null for one that waits for an admin. */
export type ListedKey = UpstreamKey & { readonly by: PinnedKey['by'] | null };

export type PackageAdmin = {
  incidents(): Promise<IncidentRow[]>;
  /** @throws NotFoundError for a name of which nothing is known */
  show(name: string): Promise<PackageState>;
  /**
   * Pins a version anew as the upstream shows it now; answers with the pinned hash before and after.
   * @throws NotFoundError, ConflictError, UpstreamError
   */
  repin(name: string, version: string, reason: string): Promise<{ before: string; after: string }>;
  keys(): Promise<ListedKey[]>;
  /** Lets a key count; answers with the packages whose versions waited for one, which are asked for anew. */
  acceptKey(keyid: string): Promise<string[]>;
  /** Since when withdrawing has been halted, if it is. */
  withdrawals(): Halt | null;
  /** Whether there was a halt to end. */
  resumeWithdrawals(): Promise<boolean>;
};

/** Incidents about a version that its being pinned anew puts an end to. */
const ENDED_BY_REPIN: readonly IncidentKind[] = ['pin-changed', 'pin-disputed', 'withdrawn'];

export function createPackageAdmin(deps: {
  index: PackageIndex;
  freshness: Freshness;
  incidents: Incidents;
  learner: Pick<Learner, 'repin' | 'idle'>;
  keys: Pick<UpstreamKeys, 'list' | 'accept'>;
  withdrawals: Pick<Withdrawals, 'halted' | 'resume'>;
}): PackageAdmin {
  const { index, freshness, incidents, learner, keys, withdrawals } = deps;

  async function pinOf(name: string, version: string): Promise<string> {
    const row = (await index.get(name)).rows.get(version);
    if (!row) throw new NotFoundError(`${name}@${version} was never pinned here`);
    return row.pinned;
  }

  return {
    incidents: incidents.list,

    async show(name) {
      const [view, asked, all] = [await index.get(name), await freshness.validators(name), await incidents.list()];
      const own = all.filter(({ subject }) => subject === name || subject.startsWith(`${name}@`));
      if (!asked && view.rows.size === 0 && own.length === 0) {
        throw new NotFoundError(`nothing is known of ${name}: nobody has asked for it yet`);
      }
      return stateOf(view, asked, own);
    },

    async repin(name, version, reason) {
      const before = await pinOf(name, version);
      await learner.repin(name, { version, reason });
      for (const kind of ENDED_BY_REPIN) await incidents.settle(kind, `${name}@${version}`);
      return { before, after: await pinOf(name, version) };
    },

    async keys() {
      const { pinned, waiting } = await keys.list();
      return [...pinned, ...waiting.map((key) => ({ ...key, by: null }))];
    },

    async acceptKey(keyid) {
      await keys.accept(keyid);
      // A look that began before the key counted may still hold versions back.
      await learner.idle();
      const waited = (await incidents.list()).filter(({ kind }) => kind === 'unknown-key');
      const names = new Set(waited.map(({ subject }) => subject.slice(0, subject.lastIndexOf('@'))));
      for (const name of names) await freshness.expire(name);
      for (const { subject } of waited) await incidents.settle('unknown-key', subject);
      await incidents.settle('new-upstream-key', keyid);
      return [...names];
    },

    withdrawals: withdrawals.halted,
    resumeWithdrawals: withdrawals.resume,
  };
}

function stateOf(view: PackageView, asked: UpstreamRow | null, incidents: IncidentRow[]): PackageState {
  const { name, headHash, seq, withdrawn, tags, rows } = view;
  const versions = [...new Set([...rows.order(), ...rows.versions()])].map((version) => {
    const { state, pinned, time, reason } = rows.get(version) as VersionRow;
    return { version, state, pinned, time, reason };
  });
  const askedAt = asked && { checked: asked.checked, absent: asked.absent };
  return { name, head: headHash, seq, withdrawn: withdrawn?.reason ?? null, asked: askedAt, tags, versions, incidents };
}

/** A reason in an order of an admin. */
export function reasonOf(body: unknown): string {
  const reason = (body as { reason?: unknown } | null)?.reason;
  if (typeof reason !== 'string' || reason === '') throw new BadRequestError('say why, in one line: reason');
  return reason;
}
