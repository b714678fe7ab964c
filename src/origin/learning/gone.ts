/**
 * What the upstream no longer shows. A package is looked at a second time before it is withdrawn; a version that was
 * learned alone has a document of its own, which is asked for anew.
 */
import { setTimeout } from 'node:timers/promises';
import { UpstreamError } from '../../core/errors.ts';
import type { createBodyRooms } from '../../io/body-rooms.ts';
import { sha256InTurns } from '../../io/turn.ts';
import type { Upstream } from '../../io/upstream.ts';
import { isKnown, listedCount, type PackageIndex, type PackageView } from '../index/package-index.ts';
import type { NewEntry } from '../log/log-batch.ts';
import type { Freshness } from './freshness.ts';
import type { Incidents } from './incidents.ts';
import { type Withdrawn, withdrawalsOf, withdrawnIncident } from './intake-entries.ts';
import { believeMissing } from './missing.ts';
import type { Withdrawals } from './withdrawals.ts';

/**
 * Nothing is left of a package, and why; `emptied` is the hash of the document that says so, if there is one.
 * `heldBack`: the document has versions, none of which may be published.
 */
export type Gone = { readonly emptied: string | null; readonly reason: string; readonly heldBack: boolean };

export type GoneFollower = {
  /**
   * The upstream has no such package, or nothing left in it that may be published.
   * @throws UpstreamError if it contradicts itself, or if withdrawing is halted
   */
  followGone(name: string, gone: Gone): Promise<void>;
  /**
   * Versions that were learned alone and that no packument shows: each has a document of its own, which is what was
   * believed of it, and which a packument may lag behind.
   * @throws UpstreamError if withdrawing is halted
   */
  followAlone(name: string): Promise<void>;
};

export type GoneDeps = {
  readonly index: Pick<PackageIndex, 'get'>;
  readonly upstream: Pick<Upstream, 'packument' | 'manifest'>;
  readonly freshness: Pick<Freshness, 'checked'>;
  readonly incidents: Pick<Incidents, 'report'>;
  readonly withdrawals: Pick<Withdrawals, 'admit'>;
  readonly timeoutMs: number;
  /** Pause before the second look at a package that is gone. */
  readonly secondLookMs: number;
  /** For what is read at the second look. */
  readonly rooms: ReturnType<typeof createBodyRooms>;
  /** Nothing else changes the package while the task runs. */
  readonly alone: (name: string, task: (view: PackageView) => Promise<void>) => Promise<void>;
  readonly commit: (entries: NewEntry[]) => Promise<void>;
};

/** The reason for whoever asks for what is gone. */
export const GONE = 'withdrawn by the upstream';
/** What is kept of a look that found nothing. */
export const ABSENT = { etag: null, lastModified: null, body: null, absent: true } as const;
/** Versions that were learned alone and are asked for anew at one look at their package. */
const ALONE_MAX = 20;

export function createGoneFollower(deps: GoneDeps): GoneFollower {
  const { index, upstream, freshness, incidents, withdrawals, timeoutMs, rooms, alone, commit } = deps;

  /** Whether the upstream says the same a moment later: `emptied` is the hash of a document without versions. */
  async function isStillGone(name: string, emptied: string | null): Promise<boolean> {
    await setTimeout(deps.secondLookMs);
    return rooms(async (room) => {
      const answer = await upstream.packument(name, null, timeoutMs, room);
      if (answer.kind === 'missing') believeMissing(name, answer, true);
      if (answer.kind !== 'fresh') return answer.kind === 'missing';
      return (await sha256InTurns(answer.bytes)) === emptied;
    });
  }

  async function withdrawPackage(view: PackageView, reason: string): Promise<void> {
    const { name } = view;
    if (reason === GONE) await withdrawals.admit(name, { versions: listedCount(view), gone: 'all' });
    await incidents.report([{ kind: 'withdrawn', subject: name, detail: reason }]);
    await commit(withdrawalsOf(name, [{ version: '*', reason }]));
  }

  async function withdrawVersions(name: string, versions: readonly string[]): Promise<void> {
    await withdrawals.admit(name, { versions: versions.length, gone: versions.length });
    const withdrawn: Withdrawn[] = versions.map((version) => ({ version, reason: GONE }));
    await incidents.report(withdrawn.map((one) => withdrawnIncident(name, one)));
    await commit(withdrawalsOf(name, withdrawn));
  }

  /** That it could not be asked is no reason to withdraw anything, and a page may be by whoever stands in between. */
  async function isVersionMissing(name: string, version: string): Promise<boolean> {
    try {
      const answer = await upstream.manifest(name, version, timeoutMs);
      return answer.kind === 'missing' && answer.page === null;
    } catch (error) {
      if (error instanceof UpstreamError) return false;
      throw error;
    }
  }

  async function followAlone(name: string): Promise<void> {
    const learned = learnedAlone(await index.get(name)).slice(0, ALONE_MAX);
    const missing = await Promise.all(learned.map((version) => isVersionMissing(name, version)));
    const gone = learned.filter((_, at) => missing[at]);
    if (gone.length === 0) return;
    await alone(name, async (view) => {
      const still = learnedAlone(view).filter((version) => gone.includes(version));
      await withdrawVersions(name, still);
    });
  }

  return {
    async followGone(name, { emptied, reason, heldBack }) {
      // What was learned alone was judged alone: other versions that are held back say nothing of it.
      const mayBeWithdrawn = (view: PackageView) =>
        isKnown(view) && !view.withdrawn && !(heldBack && listedCount(view) === 0);
      if (mayBeWithdrawn(await index.get(name))) {
        if (!(await isStillGone(name, emptied))) {
          throw new UpstreamError({ what: name, reason: 'the upstream contradicts itself' });
        }
        await alone(name, async (view) => {
          if (mayBeWithdrawn(view)) await withdrawPackage(view, reason);
        });
      }
      if (heldBack) await followAlone(name);
      await freshness.checked(name, heldBack ? { ...ABSENT, body: emptied } : ABSENT);
    },
    followAlone,
  };
}

const learnedAlone = ({ rows }: PackageView): string[] => rows.inState('learned');
