import assert from 'node:assert/strict';
import { concat } from '../../src/core/bytes.ts';
import { ChunkHasher } from '../../src/core/chunks.ts';
import { BlobIntake, bodyOf, checkBlob, digestOf, formatBlobId, rangeWithin } from '../../src/io/blob-intake.ts';
import type {
  BlobId,
  BlobStore,
  ByteRange,
  Expected,
  OpenBlob,
  PutStreamOptions,
  StoredBlob,
  StreamedBlob,
} from '../../src/io/blob-store.ts';

/** A put that can be made to fail, before or after it took effect (the answer got lost). */
type Fault = { readonly method: 'putMany' | 'putStream'; readonly persist: boolean; readonly error: Error };

type Kept = { readonly id: BlobId; readonly bytes: Uint8Array };

/**
 * A blob store in memory, for tests of what stands on one. It complains when it is misused in a way that a real one could
 * not notice: bytes changed by those who read them, a body iterated twice.
 */
export class MemoryBlobStore implements BlobStore {
  readonly #blobs = new Map<string, Kept>();
  readonly #faults: Fault[] = [];
  readonly #rotten = new Set<string>();
  #closed = false;

  /** The next call of `method` fails with `error`; with `persist` only after it did its work. */
  failNext(method: Fault['method'], error: Error, { persist = false } = {}): void {
    this.#faults.push({ method, persist, error });
  }

  /** Damages what is stored, as a bad disk would. */
  rot(id: BlobId): void {
    const bytes = new Uint8Array(this.#kept(id)?.bytes ?? assert.fail(`${formatBlobId(id)} is not there`));
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    this.#blobs.set(formatBlobId(id), { id, bytes });
    this.#rotten.add(formatBlobId(id));
  }

  async has(id: BlobId): Promise<boolean> {
    return this.#kept(id) !== undefined;
  }

  async size(id: BlobId): Promise<number | null> {
    return this.#kept(id)?.bytes.length ?? null;
  }

  async read(id: BlobId): Promise<Uint8Array | null> {
    const kept = this.#kept(id);
    if (kept === undefined) return null;
    this.#check(kept);
    return kept.bytes;
  }

  async open(id: BlobId, range?: ByteRange): Promise<OpenBlob | null> {
    const bytes = await this.read(id);
    if (bytes === null) return null;
    const { start, end } = rangeWithin(bytes.length, range);
    return { size: bytes.length, body: onlyOnce(bodyOf(bytes.subarray(start, end))) };
  }

  async putMany(blobs: readonly Kept[]): Promise<void> {
    this.#mustBeOpen();
    for (const { id, bytes } of blobs) checkBlob(id, bytes, 'the caller');
    this.#attempt('putMany', () => {
      for (const { id, bytes } of blobs) this.#keep(id, bytes);
    });
  }

  async putStream(
    expected: Expected,
    source: AsyncIterable<Uint8Array>,
    options: PutStreamOptions,
  ): Promise<StreamedBlob> {
    const intake = new BlobIntake(expected, options);
    const parts: Uint8Array[] = [];
    for await (const part of source) {
      this.#mustBeOpen();
      intake.update(part);
      parts.push(new Uint8Array(part));
    }
    this.#mustBeOpen();
    const blob = intake.finish();
    this.#attempt('putStream', () => this.#keep(blob.id, concat(parts)));
    return blob;
  }

  async chunks(id: BlobId): Promise<Uint8Array | null> {
    const bytes = await this.read(id);
    return bytes && new ChunkHasher().update(bytes).digest();
  }

  async delete(id: BlobId): Promise<void> {
    if (this.#kept(id) !== undefined) this.#blobs.delete(formatBlobId(id));
  }

  async *list(): AsyncIterable<StoredBlob> {
    this.#mustBeOpen();
    for (const { id, bytes } of [...this.#blobs.values()]) yield { id, size: bytes.length };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    for (const kept of this.#blobs.values()) this.#mustBeUnchanged(kept);
    this.#closed = true;
  }

  #kept(id: BlobId): Kept | undefined {
    this.#mustBeOpen();
    digestOf(id);
    return this.#blobs.get(formatBlobId(id));
  }

  #keep(id: BlobId, bytes: Uint8Array): void {
    if (this.#kept(id) === undefined) this.#blobs.set(formatBlobId(id), { id, bytes: new Uint8Array(bytes) });
  }

  #check(kept: Kept): void {
    const key = formatBlobId(kept.id);
    if (!this.#rotten.delete(key)) {
      this.#mustBeUnchanged(kept);
      return;
    }
    this.#blobs.delete(key);
    checkBlob(kept.id, kept.bytes, 'memory');
  }

  #mustBeUnchanged({ id, bytes }: Kept): void {
    if (this.#rotten.has(formatBlobId(id))) return;
    assert.doesNotThrow(() => checkBlob(id, bytes, 'memory'), `a reader changed the bytes of ${formatBlobId(id)}`);
  }

  #attempt(method: Fault['method'], work: () => void): void {
    const at = this.#faults.findIndex((fault) => fault.method === method);
    const [fault] = at === -1 ? [] : this.#faults.splice(at, 1);
    if (fault && !fault.persist) throw fault.error;
    work();
    if (fault) throw fault.error;
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new Error('the blob store is closed');
  }
}

function onlyOnce(body: AsyncGenerator<Uint8Array>): AsyncIterable<Uint8Array> {
  let used = false;
  return {
    [Symbol.asyncIterator]: () => {
      assert.ok(!used, 'a body can be iterated once');
      used = true;
      return body;
    },
  };
}
