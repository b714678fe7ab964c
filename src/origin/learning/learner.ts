/**
 * Learning: the origin comes to know a package when a client needs it, and asks again once its freshness has run out.
 *
 * Inside the freshness bound every answer comes from memory. Outside it one conditional request goes to the upstream,
 * one flight per package however many clients wait; where that fails, what is known is served, marked stale.
 */
import {
  LogHaltedError,
  NotFoundError,
  TooManyRequestsError,
  UpstreamError,
  WithdrawnError,
} from '../../core/errors.ts';
import { namePattern } from '../../core/package-name.ts';
import type { VersionRow } from '../../core/tables.ts';
import { TokenBuckets } from '../../core/token-bucket.ts';
import { MissingBlobError } from '../../io/stored-blob.ts';
import { isKnown, type PackageIndex, type PackageView } from '../index/package-index.ts';
import type { Freshness } from './freshness.ts';
import type { Intake } from './intake.ts';
import type { RepinOrder } from './intake-entries.ts';

/** A package as it stands; `stale` if the upstream could not be asked in time although it was due. */
export type Learned = { readonly view: PackageView; readonly stale: boolean };

export type Learner = {
  /**
   * The package with its packument.
   * @throws NotFoundError, WithdrawnError, UpstreamError, UpstreamTimeoutError, TooManyRequestsError
   */
  packument(name: string, network: string): Promise<Learned>;
  /**
   * One version, for its tarball: learned alone where the package is not, since a frozen install asks for nothing else.
   * @throws as `packument`
   */
  version(name: string, version: string, network: string): Promise<{ row: VersionRow; stale: boolean }>;
  /**
   * Pins a version anew as the upstream shows it now, by an admin's order.
   * @throws NotFoundError, ConflictError, UpstreamError, UpstreamTimeoutError
   */
  repin(name: string, order: RepinOrder): Promise<void>;
  /**
   * Asks for a package of which something is lost here as if for the first time, which brings back what is named.
   * @throws UpstreamError where that fails or failed a moment ago, TooManyRequestsError
   */
  mend(name: string, network: string): Promise<void>;
  /** Packages whose upstream is being asked right now. */
  flights(): number;
  /** Resolves when no upstream is being asked any more. */
  idle(): Promise<void>;
};

export type LearnerOptions = {
  freshnessMs: number;
  /** Names of which the upstream is never asked: `name`, `@scope/*`. */
  neverAsk: readonly string[];
  /** How long a tarball waits for a package that is due. */
  tarballPatienceMs: number;
  /** How long a packument waits for a package that is known and due. */
  packumentPatienceMs: number;
};

/** Packages that one client network may make us learn: cold installs of large applications, then so many per second. */
const LEARN_BURST = 10_000;
const LEARN_PER_SECOND = 50;

export function createLearner(deps: {
  index: PackageIndex;
  intake: Intake;
  freshness: Freshness;
  options: LearnerOptions;
  now: () => number;
}): Learner {
  const { index, intake, freshness, options, now } = deps;
  const flights = new Map<string, Promise<unknown>>();
  const budget = new TokenBuckets({ burst: LEARN_BURST, perSecond: LEARN_PER_SECOND });
  const neverAsked = options.neverAsk.map(namePattern);

  function fly(key: string, network: string, task: () => Promise<void>): Promise<unknown> {
    const running = flights.get(key);
    if (running) return running;
    if (!budget.take(network, now())) {
      throw new TooManyRequestsError(
        'too many packages at once that this registry does not know yet; try again in a minute',
      );
    }
    const flight = task().finally(() => flights.delete(key));
    flights.set(key, flight);
    return flight;
  }

  const ask = (view: PackageView, network: string) => fly(view.name, network, () => intake.packument(view.name));

  /** Asks the upstream and waits; a package that is known waits no longer than `patienceMs` and survives a failure. */
  async function renew(view: PackageView, network: string, patienceMs: number): Promise<Learned> {
    const known = isKnown(view);
    try {
      const flight = ask(view, network);
      if (known && (await isLate(flight, patienceMs))) return staleFor(view);
      await flight;
    } catch (error) {
      if (!known || !isSurvived(error)) throw error;
      return staleFor(view);
    }
    return { view: await index.get(view.name), stale: false };
  }

  /** What is known, for everyone within the next seconds: not each of them is to wait for an upstream that is slow. */
  function staleFor(view: PackageView): Learned {
    freshness.postpone(view.name);
    return { view, stale: true };
  }

  /** The package inside its freshness bound, as far as that can be had. */
  async function current(view: PackageView, network: string, patienceMs: number): Promise<Learned> {
    const state = await freshness.of(view.name);
    if (state.isFresh) return { view, stale: state.postponed };
    return renew(view, network, patienceMs);
  }

  /** While the task runs nobody else asks for the package; whoever would joins it, and its failure is not theirs. */
  async function alone<T>(name: string, task: () => Promise<T>): Promise<T> {
    for (let other = flights.get(name); other; other = flights.get(name)) await other.catch(() => undefined);
    const running = task();
    const flight = running.catch(() => undefined).finally(() => flights.delete(name));
    flights.set(name, flight);
    return running;
  }

  return {
    repin: (name, order) => alone(name, () => intake.repin(name, order)),

    async mend(name, network) {
      if ((await freshness.of(name)).postponed) throw lostAndNotMended(name, 'the upstream could not be asked');
      await fly(`mend ${name}`, network, () => alone(name, () => askAnew(name)));
    },

    flights: () => flights.size,
    idle: async () => {
      await Promise.allSettled(flights.values());
    },

    async packument(name, network) {
      refuseIfNeverAsked(name);
      let learned = await current(await index.get(name), network, options.packumentPatienceMs);
      // Single versions were learned, the packument was not.
      const { head, withdrawn } = learned.view;
      if (!head && !withdrawn && !(await freshness.of(name)).isAbsent) {
        await ask(learned.view, network);
        learned = { view: await index.get(name), stale: false };
      }
      return { ...learned, view: presentOr404(learned.view, (await freshness.of(name)).isHeldBack) };
    },

    async version(name, version, network) {
      refuseIfNeverAsked(name);
      const first = await index.get(name);
      const isKnown = first.head !== null || first.rows.has(version) || first.withdrawn !== null;
      const { view, stale } = isKnown
        ? await current(first, network, options.tarballPatienceMs)
        : { view: first, stale: false };
      const row = view.rows.get(version) ?? (await learnVersion(view, version, network));
      if (row.state === 'withdrawn') {
        throw new WithdrawnError({ subject: `${name}@${version}`, reason: row.reason });
      }
      return { row, stale };
    },
  };

  async function askAnew(name: string): Promise<void> {
    await freshness.expire(name);
    try {
      await intake.packument(name);
    } catch (error) {
      if (!(error instanceof UpstreamError || error instanceof MissingBlobError)) throw error;
      freshness.postpone(name);
      throw lostAndNotMended(name, error.message);
    }
  }

  async function learnVersion(view: PackageView, version: string, network: string): Promise<VersionRow> {
    const { name } = view;
    if (view.withdrawn) throw new WithdrawnError({ subject: name, reason: view.withdrawn.reason });
    const subject = `${name}@${version}`;
    const { isFresh, isAbsent } = await freshness.of(name);
    if (!(isFresh && isAbsent) && !freshness.isVersionAbsent(name, version)) {
      await fly(subject, network, () => intake.version(name, version));
      // Not every upstream has documents of single versions.
      const { head, rows } = await index.get(name);
      if (!head && !rows.has(version)) await ask(view, network);
      const row = (await index.get(name)).rows.get(version);
      if (row) return row;
      freshness.versionIsAbsent(name, version);
    }
    throw new NotFoundError(`${subject} is not in this registry: its upstream has no such version, or it is held back`);
  }

  function refuseIfNeverAsked(name: string): void {
    if (neverAsked.some((matches) => matches(name)))
      throw new NotFoundError(`${name} is not in this registry, and its upstream is never asked for it`);
  }
}

/** What keeps a package from being renewed, but not from being served as it is known. */
const isSurvived = (error: unknown): boolean =>
  [UpstreamError, TooManyRequestsError, MissingBlobError, LogHaltedError].some((kind) => error instanceof kind);

function lostAndNotMended(name: string, why: string): UpstreamError {
  const reason = `a part of it is lost here and could not be had again, try again in a moment: ${why}`;
  return new UpstreamError({ what: name, reason });
}

function presentOr404(view: PackageView, isHeldBack: boolean): PackageView {
  if (view.head) return view;
  if (view.withdrawn) throw new WithdrawnError({ subject: view.name, reason: view.withdrawn.reason });
  const why = isHeldBack ? 'all versions that its upstream shows are held back' : 'its upstream has no such package';
  throw new NotFoundError(`${view.name} is not in this registry: ${why}`);
}

/** Whether a promise takes longer than that. Its rejection is not swallowed when it is in time. */
async function isLate(flight: Promise<unknown>, patienceMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<true>((resolve) => {
    timer = setTimeout(() => resolve(true), patienceMs);
  });
  try {
    return (await Promise.race([flight.then(() => false as const), late])) === true;
  } finally {
    clearTimeout(timer);
    flight.catch(() => undefined);
  }
}
