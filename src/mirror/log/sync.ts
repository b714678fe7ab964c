/**
 * One pass of following the log: from a checkpoint that a server shows to that checkpoint being served here. Nothing that
 * the server says is believed: the checkpoint has the log key's signature, its tree must begin with the one held, every
 * tile leads up to its root and every entry to a tile. Content first, the checkpoint last (held-log.ts tells what a
 * crash leaves behind).
 */

import { equal } from '../../core/bytes.ts';
import { type Entry, parseEntry } from '../../core/entry.ts';
import { RollbackError, SplitViewError, UpstreamTimeoutError, WrongTileError } from '../../core/errors.ts';
import { type HashReader, proveConsistency, rootHash, type TreeHead, treeHash } from '../../core/merkle.ts';
import {
  checkBundle,
  checkEnd,
  nodesOfBundle,
  readEntries,
  type SyncStep,
  standingOf,
  syncSteps,
} from '../../core/sync-plan.ts';
import { type Bundle, TILE_WIDTH, type Tile, tilePath } from '../../core/tile.ts';
import { createTileReader } from '../../core/tile-reader.ts';
import { createGate } from '../../io/gate.ts';
import { Turn } from '../../io/turn.ts';
import type { HeldCheckpoint, HeldLog } from './held-log.ts';
import type { LogSource } from './log-source.ts';

const STEP_TIMEOUT_MS = 60_000;
/** Two steps are in memory, the one taken in and the next one. */
const STEP_BUNDLES = 8;
/** Requests to one source at the same time. */
const PARALLEL = 8;
/** A tile of level 1 is enough for 256 bundles. */
const TILES_KEPT_MAX = 64;

export type SyncDeps = {
  readonly log: HeldLog;
  /**
   * What an entry has to be beyond being the log's: the root key's word, for one.
   * @throws SignatureError or the like for one that must not be followed
   */
  readonly check: (entry: Entry) => void;
  /**
   * What a checkpoint needs besides the log's signature, before it is followed.
   * @throws UnwitnessedError for one that must not be served
   */
  readonly admit?: () => void;
  readonly signal: AbortSignal;
  /** Bundles taken in at once; by default some thousands of entries. */
  readonly stepBundles?: number;
  /** How long a source may take to give them, proven, before the next one is tried; ms. */
  readonly stepTimeoutMs?: number;
};

/**
 * Takes in all that a checkpoint has beyond what is held, from this source, and serves it from then on.
 * @param seen its signature is verified
 * @returns whether anything changed
 * @throws SplitViewError if it is not of the history that is held; RollbackError if it is of it, and older than what is
 * served; UnreadableEntryError for an entry that can't be followed, which is no fault of the source; WrongTileError,
 * UpstreamError or UpstreamTimeoutError if the source does not give what proves it
 */
export async function syncTo(seen: HeldCheckpoint, source: LogSource, deps: SyncDeps): Promise<boolean> {
  const { log } = deps;
  await log.mend();
  const served = log.served();
  const standing = served === null ? 'newer' : standingOf(seen.checkpoint, served.checkpoint);
  if (standing === 'same') return false;
  checkEmpty(seen.checkpoint);
  const pass = new AbortController();
  // What is still asked for when the pass ends, well or not, is of no use to anyone.
  const asked = source.until(pass.signal);
  try {
    const read = createTileReader(seen.checkpoint, tilesOf(asked));
    await checkHistory(seen, read, log);
    if (served !== null && standing === 'older') throw rollback(served, seen);
    deps.admit?.();
    await readTail(seen, asked, read, deps);
  } finally {
    pass.abort(new Error('this pass of following the log has ended'));
  }
  await log.serve(seen);
  return true;
}

/**
 * Judges a checkpoint of at most as many entries as are held.
 * @throws SplitViewError if it is not of the history that is held
 */
export function checkAgainstHeld(seen: HeldCheckpoint, log: HeldLog): Promise<void> {
  return checkHistory(seen, log.hashes(log.head().size), log);
}

/** No tile vouches for the root of a log without entries. */
function checkEmpty({ size, root }: TreeHead): void {
  if (size > 0 || equal(root, rootHash([]))) return;
  throw new WrongTileError({ paths: ['checkpoint'], reason: 'a log without entries has another root' });
}

/**
 * Both trees must agree as far as both go. What is held is proven already, so it vouches for all that is smaller: by the
 * note that is served as far as that goes, else by that of the larger tree of which the rest is a part.
 */
async function checkHistory(seen: HeldCheckpoint, read: HashReader, log: HeldLog): Promise<void> {
  const [head, served] = [log.head(), log.served()];
  if (served) await checkAgainst(served.checkpoint, served.note, seen, read, log);
  if (head.size !== served?.checkpoint.size) await checkAgainst(head, log.target()?.note ?? '', seen, read, log);
}

async function checkAgainst(
  held: TreeHead,
  note: string,
  { checkpoint: offered, note: offeredNote }: HeldCheckpoint,
  read: HashReader,
  log: HeldLog,
): Promise<void> {
  const isLonger = offered.size > held.size;
  const [small, large] = isLonger ? [held, offered] : [offered, held];
  const hashes = offered.size > log.head().size ? read : log.hashes(log.head().size);
  if (equal(await treeHash(small.size, hashes), small.root)) return;
  const proof = await proveConsistency(small.size, large.size, hashes);
  throw new SplitViewError({ originLine: offered.origin, held: note, offered: offeredNote, proof });
}

async function readTail(seen: HeldCheckpoint, source: LogSource, read: HashReader, deps: SyncDeps): Promise<void> {
  const { log, signal, stepBundles = STEP_BUNDLES, stepTimeoutMs = STEP_TIMEOUT_MS } = deps;
  const { size } = seen.checkpoint;
  const from = log.head().size;
  if (from >= size) return checkHeldEnd(size, log);
  await log.aim(seen);
  const gate = createGate(PARALLEL);
  const steps = syncSteps(from, size, stepBundles);
  const readNext = (step: SyncStep) => within(stepTimeoutMs, source, readStep(step, source, read, gate));
  for await (const { step, entries, leaves } of ahead(steps, readNext)) {
    signal.throwIfAborted();
    const last = await checkEntries(entries, step.from, deps);
    if (step.to === size) checkEnd(last, size - 1);
    await log.take(entries, leaves, last.time);
  }
}

/** Each is one that can be taken in. @returns the last of them */
async function checkEntries(entries: readonly Uint8Array[], first: number, { log, check }: SyncDeps): Promise<Entry> {
  const turn = new Turn();
  let last: Entry = { kind: 'commit', time: log.time() };
  for (let at = 0; at < entries.length; at += TILE_WIDTH) {
    const parsed = readEntries(entries.slice(at, at + TILE_WIDTH), first + at, last.time);
    parsed.forEach(check);
    last = parsed.at(-1) as Entry;
    if (turn.isSpent()) await turn.give();
  }
  return last;
}

/** A source that gives a little now and then must not keep the others from being asked. */
async function within<T>(ms: number, { name }: LogSource, task: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const reason = `it took more than ${ms} ms for one step; another source may be faster`;
    timer = setTimeout(() => reject(new UpstreamTimeoutError({ what: `the log at ${name}`, reason })), ms);
  });
  return Promise.race([task, late]).finally(() => clearTimeout(timer));
}

/** Where a pass was cut short on its way to a larger tree, more may be held than what is shown now. */
async function checkHeldEnd(size: number, log: HeldLog): Promise<void> {
  if (size > 0) checkEnd(parseEntry(await log.entry(size - 1)), size - 1);
}

type ProvenStep = {
  readonly step: SyncStep;
  readonly entries: readonly Uint8Array[];
  readonly leaves: readonly Uint8Array[];
};

async function readStep(step: SyncStep, source: LogSource, read: HashReader, gate: Gate): Promise<ProvenStep> {
  const hashes = read(step.bundles.flatMap(nodesOfBundle));
  const proven = step.bundles.map((bundle) => gate(() => readBundle(bundle, step.bundles, source, hashes)));
  const bundles = await Promise.all(proven);
  // The first bundle may begin with entries that are held.
  const skip = step.from - (step.bundles[0] as Bundle).index * TILE_WIDTH;
  return {
    step,
    entries: bundles.flatMap(({ entries }) => entries).slice(skip),
    leaves: bundles.flatMap(({ leaves }) => leaves).slice(skip),
  };
}

/** @param hashes of all bundles of the step, which are asked for at once */
async function readBundle(
  bundle: Bundle,
  all: readonly Bundle[],
  source: LogSource,
  hashes: Promise<Uint8Array[]>,
): Promise<{ entries: Uint8Array[]; leaves: Uint8Array[] }> {
  const [entries, known] = await Promise.all([source.entries(bundle), hashes]);
  const before = all.slice(0, all.indexOf(bundle)).flatMap(nodesOfBundle).length;
  return { entries, leaves: checkBundle(bundle, entries, known.slice(before)) };
}

/** Reads the next item while the one before it is being worked on. */
async function* ahead<T, R>(items: Iterable<T>, read: (item: T) => Promise<R>): AsyncGenerator<R> {
  let reading: Promise<R> | null = null;
  for (const item of items) {
    const next = read(item);
    // Whoever waits for it learns of its failure; nobody does if the one before it failed, too.
    next.catch(() => undefined);
    if (reading !== null) yield await reading;
    reading = next;
  }
  if (reading !== null) yield await reading;
}

type Gate = ReturnType<typeof createGate>;

/** The tiles of a source, those that proofs ask for again and again kept for the length of the pass. */
function tilesOf(source: LogSource): (tiles: readonly Tile[]) => Promise<Uint8Array[]> {
  const kept = new Map<string, Promise<Uint8Array>>();
  const gate = createGate(PARALLEL);
  const tileOf = (tile: Tile): Promise<Uint8Array> => {
    const path = tilePath(tile);
    const known = kept.get(path);
    if (known) return known;
    const asked = gate(() => source.tile(tile));
    kept.set(path, asked);
    if (kept.size > TILES_KEPT_MAX) kept.delete(kept.keys().next().value as string);
    return asked;
  };
  return (tiles) => Promise.all(tiles.map(tileOf));
}

function rollback(served: HeldCheckpoint, { checkpoint }: HeldCheckpoint): RollbackError {
  return new RollbackError({
    originLine: checkpoint.origin,
    held: served.checkpoint.size,
    offered: checkpoint.size,
  });
}
