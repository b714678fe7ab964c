/** A blob that is being received: hashed while it is written, readable meanwhile, in the store only once it is kept. */
import { rm } from 'node:fs/promises';
import { BlobIntake } from './blob-intake.ts';
import type { Expected, PutStreamOptions, StreamedBlob } from './blob-store.ts';
import { storageError } from './durable-file.ts';
import { GrowingFile } from './growing-file.ts';

/** What a store does for a blob that it receives in the file `temp`. */
export type GrowingHow = {
  readonly temp: string;
  /** Gives the synced file its name. */
  readonly commit: (temp: string, blob: StreamedBlob) => Promise<void>;
  /** Called once, in the end. */
  readonly ended: () => void;
  /** Tries to free so many bytes of a full disk; false if that is impossible. */
  readonly makeRoom: (bytes: number) => Promise<boolean>;
};

/** @throws StorageFullError */
export async function growBlob(expected: Expected, options: PutStreamOptions, how: GrowingHow): Promise<GrowingBlob> {
  try {
    const file = await GrowingFile.create(how.temp, how.makeRoom);
    return new GrowingBlob(file, new BlobIntake(expected, options), how);
  } catch (error) {
    how.ended();
    throw storageError(error, how.temp);
  }
}

export class GrowingBlob {
  readonly #file: GrowingFile;
  readonly #intake: BlobIntake;
  readonly #how: GrowingHow;
  #checked: StreamedBlob | null = null;

  constructor(file: GrowingFile, intake: BlobIntake, how: GrowingHow) {
    this.#file = file;
    this.#intake = intake;
    this.#how = how;
  }

  /** Bytes received. */
  get size(): number {
    return this.#file.size;
  }

  /** @throws TooLargeError, StorageFullError */
  async append(bytes: Uint8Array): Promise<void> {
    this.#intake.update(bytes);
    await this.#stored(this.#file.append(bytes));
  }

  /** Bytes `start` to `end` (exclusive) of what was received. Only for those who hold it. */
  read(start: number, end: number): Promise<Uint8Array> {
    return this.#file.read(start, end);
  }

  /**
   * Ends the receiving, and says whether it was the right blob.
   * @throws IntegrityError
   */
  check(): StreamedBlob {
    this.#checked ??= this.#intake.finish();
    return this.#checked;
  }

  /** Puts the blob into the store (commit point); durable when this resolves. Only after `check`. */
  async keep(): Promise<void> {
    const blob = this.check();
    await this.#stored(this.#file.sync());
    await this.#stored(this.#how.commit(this.#how.temp, blob));
  }

  /** Keeps the bytes readable until `release` is called, whatever becomes of the blob; false if it is too late for that. */
  hold(): boolean {
    return this.#file.hold();
  }

  release(): Promise<void> {
    return this.#file.release();
  }

  /** To be called once, in any case: what was not kept is gone when the last who holds it lets go. */
  async end(): Promise<void> {
    await rm(this.#how.temp, { force: true });
    await this.#file.release();
    this.#how.ended();
  }

  #stored(work: Promise<void>): Promise<void> {
    return work.catch((error) => {
      throw storageError(error, this.#how.temp);
    });
  }
}
