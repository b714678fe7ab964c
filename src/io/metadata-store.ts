/**
 * The log and the tables: what a metadata store promises, whichever way it keeps them. The log is the journal's entries
 * with the Merkle tree over them: its tiles, and its head.
 *
 * `test/io/metadata-store-contract.ts` checks every promise made here; each implementation passes it.
 *
 * Every method may be called at any time, concurrently with every other, until `close` is called; after that every
 * method rejects. Writes happen one after the other, in the order in which they were called; a read sees every write that
 * resolved before the read was called, and never a part of one that is under way. When a write resolves it is durable:
 * it survives `kill -9` and loss of power. When it rejects, nothing of it happened.
 *
 * All of this holds as well while another process, by mistake, writes to the same place: what is compared is what is
 * stored, in the same transaction that changes it, so the second of two writers gets a `ConflictError` and its next read
 * sees what the first one wrote.
 *
 * Errors: `ConflictError` when the log or the fold is not where the caller thinks it is; `StorageFullError` when there is
 * no room, in which case reads go on working.
 */

import type { TileRow } from '../core/log-tree.ts';
import type { TreeHead } from '../core/merkle.ts';
import type { Change, TableName, Tables } from '../core/tables.ts';

/** A row with its key. */
export type Keyed<T extends TableName> = { readonly key: string; readonly row: Tables[T] };

export type ScanOptions = {
  /** Only keys that come after this one: the last key of the page before. */
  readonly after?: string;
  /** At most this many rows. Without it, all: only for prefixes that are known to be short. */
  readonly limit?: number;
};

/** How a tree grows: what it must be, what it becomes, and the whole content of each tile that changes with it. */
export type Growth = { readonly from: TreeHead; readonly to: TreeHead; readonly tiles: readonly TileRow[] };

export interface MetadataStore {
  /** How many entries the journal holds. Entry i is the (i + 1)th ever appended. */
  size(): Promise<number>;

  /**
   * Size and root of the tree; size 0 and the hash of nothing at first. `head().size` is `size()`, except in a place that
   * a version without a tree wrote: there it is less (0 at first), until the entries were taken in by {@link append}.
   */
  head(): Promise<TreeHead>;

  /**
   * Adds entries at the end of the journal, and moves the tree from `from` to `to`: all of it, or nothing.
   * The store does not know how hashes follow from entries: `to` and `tiles` are believed.
   *
   * Without entries the tree takes in entries that the journal holds already: those from `from.size` to `to.size`.
   *
   * @throws ConflictError if the tree is not at `from` (size or root), or the journal does not end at `from.size` when
   *   there are entries, or ends before `to.size` when there are none.
   */
  append(entries: readonly Uint8Array[], growth: Growth): Promise<void>;

  /** What there is of a tile: 1 to 256 hashes, one after the other; null where the tree has nothing. */
  tile(level: number, index: number): Promise<Uint8Array | null>;

  /** Entries `from`, `from + 1`, …: at most `limit`, fewer where the journal ends. */
  entries(from: number, limit: number): Promise<Uint8Array[]>;

  /** How many entries the derived tables have taken in. Never more than `size()`. */
  folded(): Promise<number>;

  /**
   * Takes entries `from` to `to` (exclusive) into the derived tables: applies the changes in order and moves the fold's
   * position, both or neither.
   *
   * @throws ConflictError if the fold is not at `from`, or the journal ends before `to`.
   */
  fold(changes: readonly Change[], from: number, to: number): Promise<void>;

  /** Applies changes in order, all or none. For local tables; derived ones change by `fold` only. */
  write(changes: readonly Change[]): Promise<void>;

  /** A row, or null. It is the caller's own copy. */
  get<T extends TableName>(table: T, key: string): Promise<Tables[T] | null>;

  /** Rows whose key starts with `prefix` (all for the empty one), in the order of the keys' UTF-8 bytes. */
  scan<T extends TableName>(table: T, prefix: string, options?: ScanOptions): Promise<Keyed<T>[]>;

  /** Number of rows. Costs the same however many there are. */
  count(table: TableName): Promise<number>;

  /** Empties tables. If a derived table is among them the fold starts again at 0, so name all of the derived ones. */
  clear(tables: readonly TableName[]): Promise<void>;

  /** Resolves when the writes under way have ended and the files are closed. */
  close(): Promise<void>;
}
