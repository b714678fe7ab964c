/**
 * A file that is written from its beginning to its end and can be read meanwhile, as far as it is written. It stays
 * readable for those who hold it, also when it was renamed or removed.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { readFully } from './chunked-file.ts';
import { isDiskFull } from './durable-file.ts';

export class GrowingFile {
  readonly #file: FileHandle;
  /** Tries to free so many bytes; false if that is impossible. */
  readonly #makeRoom: (bytes: number) => Promise<boolean>;
  #size = 0;
  #holders = 1;

  private constructor(file: FileHandle, makeRoom: (bytes: number) => Promise<boolean>) {
    this.#file = file;
    this.#makeRoom = makeRoom;
  }

  /** The maker holds it, too. */
  static async create(path: string, makeRoom: (bytes: number) => Promise<boolean>): Promise<GrowingFile> {
    return new GrowingFile(await open(path, 'wx+', 0o600), makeRoom);
  }

  /** Bytes written. */
  get size(): number {
    return this.#size;
  }

  /** One append at a time. On a full disk room is made once; what was written stays readable if that doesn't help. */
  async append(bytes: Uint8Array): Promise<void> {
    let retried = false;
    for (let done = 0; done < bytes.length; ) {
      try {
        const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#size);
        done += bytesWritten;
        this.#size += bytesWritten;
      } catch (error) {
        if (retried || !isDiskFull(error) || !(await this.#makeRoom(bytes.length))) throw error;
        retried = true;
      }
    }
  }

  /** Bytes `start` to `end` (exclusive) of what is written. */
  read(start: number, end: number): Promise<Uint8Array> {
    return readFully(this.#file, start, end - start);
  }

  /** Waits until all of it is on the disk. */
  sync(): Promise<void> {
    return this.#file.sync();
  }

  /** Keeps the file open for one more; false if it is closed already. */
  hold(): boolean {
    if (this.#holders === 0) return false;
    this.#holders += 1;
    return true;
  }

  /** The last one who lets go closes the file. */
  async release(): Promise<void> {
    this.#holders -= 1;
    if (this.#holders === 0) await this.#file.close();
  }
}
