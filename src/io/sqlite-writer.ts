/**
 * The writing half of a SQLite database: transactions are data, run one after the other in a thread of their own.
 * Reading happens beside it, on a read-only connection of the caller's: with a write-ahead log readers see the last
 * commit, wait for nobody, and never see a transaction that is under way.
 */

import { once } from 'node:events';
import { basename, extname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { ConflictError, StorageFullError } from '../core/errors.ts';
import { Serial } from './serial.ts';
import { Turn } from './turn.ts';

/** A statement, by its place in the list given at the start, and the values to bind. */
export type Step = readonly [statement: number, ...values: (string | number | Uint8Array)[]];

/** `shrinks`: a new file can give free pages back, by `PRAGMA incremental_vacuum`. */
export type WriterData = {
  readonly file: string;
  readonly schema: string;
  readonly statements: readonly string[];
  readonly shrinks?: boolean;
};

/** Told once that an open database can't be written any more, until it is opened anew. */
export type OnBroken = (error: Error) => void;

/** What the threads say to each other. A transaction may come in several parts; only the last has an `end`. */
export type Request =
  | { readonly steps: readonly Step[]; readonly end: 'commit' | 'rollback' | null }
  | { readonly close: true };
export type Reply = { readonly done: true } | { readonly failed: { message: string; errcode: number | null } };

/** The thread makes hardly any objects, and only a collection frees the bytes that were sent to it. */
const YOUNG_LIMIT = { maxYoungGenerationSizeMb: 1 };
/** What is sent to the thread at once: sending copies, and nobody can have a turn meanwhile. */
const PART_STEPS = 256;
/** sqlite.org/rescode.html: SQLITE_FULL, and SQLITE_IOERR_SHMSIZE for no room for the index of the write-ahead log. */
const FULL_CODES: readonly (number | null)[] = [13, 4874];
/** SQLITE_CONSTRAINT; the upper bytes of the extended code say which one. */
const CONSTRAINT = 19;

export class SqliteWriter {
  readonly #file: string;
  readonly #worker: Worker;
  readonly #transactions = new Serial();
  readonly #turn = new Turn();
  #settle: { resolve: () => void; reject: (error: unknown) => void } | null = null;
  #broken: Error | null = null;
  /** What to do when the thread dies; null while that is an open or a close, whose callers learn of it. */
  #onBroken: OnBroken | null = null;

  private constructor(file: string, worker: Worker) {
    this.#file = file;
    this.#worker = worker;
    worker.on('message', (reply: Reply) => this.#receive(reply));
    worker.on('error', (error) => this.#break(error));
    worker.on('exit', (code) => this.#break(new Error(`its thread has ended with code ${code}`)));
  }

  /**
   * Opens or makes the database.
   *
   * @param schema makes what is missing and leaves alone what is there
   * @throws StorageFullError
   */
  static async open(data: WriterData, onBroken: OnBroken = () => undefined): Promise<SqliteWriter> {
    // The thread's source lies beside this one: .ts in a checkout, .js when built.
    const source = new URL(`./sqlite-worker${extname(import.meta.filename)}`, import.meta.url);
    const worker = new Worker(source, { workerData: data, execArgv: [], resourceLimits: YOUNG_LIMIT });
    const writer = new SqliteWriter(data.file, worker);
    await writer.#answer();
    writer.#onBroken = onBroken;
    return writer;
  }

  /**
   * Runs the steps as one transaction. When it resolves they are durable; when it rejects none of them happened.
   * `steps` may be a generator: it runs when its turn has come, a few milliseconds at a time.
   *
   * @throws ConflictError if a constraint refuses a step, StorageFullError, or what the generator throws.
   */
  transact(steps: Iterable<Step>): Promise<void> {
    return this.#transactions.run(() => this.#send(steps));
  }

  /** Resolves when what was under way has ended and the file is closed. */
  async close(): Promise<void> {
    await this.#transactions.idle();
    if (this.#broken !== null) return;
    this.#onBroken = null;
    const exit = once(this.#worker, 'exit');
    this.#worker.ref();
    this.#worker.postMessage({ close: true } satisfies Request);
    await exit;
  }

  async #send(steps: Iterable<Step>): Promise<void> {
    if (this.#broken !== null) throw this.#broken;
    try {
      await this.#sendParts(steps);
    } catch (error) {
      this.#post([], 'rollback');
      await this.#answer();
      throw error;
    }
    this.#post([], 'commit');
    await this.#answer();
  }

  async #sendParts(steps: Iterable<Step>): Promise<void> {
    let part: Step[] = [];
    for (const step of steps) {
      part.push(step);
      if (part.length < PART_STEPS && !this.#turn.isSpent()) continue;
      this.#post(part, null);
      part = [];
      if (this.#turn.isSpent()) await this.#turn.give();
    }
    if (part.length > 0) this.#post(part, null);
  }

  #post(steps: readonly Step[], end: 'commit' | 'rollback' | null): void {
    const own = withOwnBytes(steps);
    this.#worker.postMessage({ steps: own.steps, end } satisfies Request, [own.buffer]);
  }

  /** The thread keeps the process alive while it owes an answer, and only then. */
  async #answer(): Promise<void> {
    if (this.#broken !== null) throw this.#broken;
    this.#worker.ref();
    try {
      await new Promise<void>((resolve, reject) => {
        this.#settle = { resolve, reject };
      });
    } finally {
      this.#worker.unref();
    }
  }

  #receive(reply: Reply): void {
    if ('done' in reply) this.#settle?.resolve();
    else this.#settle?.reject(this.#errorOf(reply.failed));
  }

  #errorOf({ message, errcode }: { message: string; errcode: number | null }): Error {
    if (FULL_CODES.includes(errcode)) {
      return new StorageFullError(`can't write ${this.#file}: the disk is full; free some space and try again`);
    }
    if (errcode !== null && errcode % 256 === CONSTRAINT) return new ConflictError(`${this.#file}: ${message}`);
    return new Error(`${this.#file}: ${message}`);
  }

  /** Without the folder's name: health tells it to everyone. */
  #brokenBy(error: { message: string; errcode: number | null }): Error {
    if (this.#onBroken === null) return this.#errorOf(error);
    const what = `${basename(this.#file)} can't be written any more`;
    return new Error(`${what}: ${error.message}; restart this server`, { cause: error });
  }

  #break(error: unknown): void {
    if (this.#broken !== null) return;
    this.#broken = this.#brokenBy(error as { message: string; errcode: number | null });
    this.#settle?.reject(this.#broken);
    this.#onBroken?.(this.#broken);
  }
}

/**
 * Opens a database with both halves.
 *
 * @param make what to make of them; if it throws, because the file is damaged for instance, both are closed again
 */
export async function openDatabase<T>(
  data: WriterData,
  make: (writer: SqliteWriter, reader: DatabaseSync) => T,
  onBroken?: OnBroken,
): Promise<T> {
  const writer = await SqliteWriter.open(data, onBroken);
  let reader: DatabaseSync | null = null;
  try {
    reader = openReader(data.file);
    return make(writer, reader);
  } catch (error) {
    reader?.close();
    await writer.close();
    throw error;
  }
}

/** Opens the reading connection. Its writer must be open, since only that one can bring the database up to date. */
function openReader(file: string): DatabaseSync {
  return new DatabaseSync(file, { readOnly: true, timeout: 5_000 });
}

/**
 * Copies, since the caller must be able to go on using its bytes: into one buffer, which is handed over with what costs as
 * much for a small one as for a large one.
 */
function withOwnBytes(steps: readonly Step[]): { readonly steps: readonly Step[]; readonly buffer: ArrayBuffer } {
  const lengths = steps.flatMap((step) => step.filter(isBytes)).map(({ length }) => length);
  const buffer = new ArrayBuffer(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  const own = (value: Step[number]) => {
    if (!isBytes(value)) return value;
    const copy = new Uint8Array(buffer, at, value.length);
    copy.set(value);
    at += value.length;
    return copy;
  };
  return { steps: steps.map(([statement, ...values]) => [statement, ...values.map(own)]), buffer };
}

function isBytes(value: unknown): value is Uint8Array<ArrayBuffer> {
  return value instanceof Uint8Array;
}
