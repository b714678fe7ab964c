import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { concat } from '../../src/core/bytes.ts';
import { ChunkHasher } from '../../src/core/chunks.ts';
import { IntegrityError, TooLargeError } from '../../src/core/errors.ts';
import { CHUNK_BYTES } from '../../src/core/limits.ts';
import type { BlobId, BlobStore, Expected, StoredBlob } from '../../src/io/blob-store.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** A way to reach under an implementation. */
export type Subject = {
  open(folder: string): Promise<BlobStore>;
  /** Damages a stored blob as a bad disk would: the last byte changes. The store may be open. */
  rot(store: BlobStore, folder: string, id: BlobId): Promise<void>;
  /** What is stored survives a close. */
  readonly durable: boolean;
};

const digest = (algorithm: string, bytes: Uint8Array): string => createHash(algorithm).update(bytes).digest('hex');
export const blobOf = (bytes: Uint8Array, algorithm: BlobId['algorithm'] = 'sha256'): BlobId => ({
  algorithm,
  hex: digest(algorithm, bytes),
});
const sha1Of = (bytes: Uint8Array): Expected => ({ algorithm: 'sha1', hex: digest('sha1', bytes) });
const options = { maxBytes: 64 * CHUNK_BYTES, keyAlgorithm: 'sha512' } as const;

/** Bytes that differ everywhere, so that a part in the wrong place is noticed. */
export function bytesOf(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0, value = seed; at < length; at += 1) {
    value = (Math.imul(value, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = value >>> 16;
  }
  return bytes;
}

/** As a socket delivers: in portions that fit nothing. */
export async function* stream(bytes: Uint8Array, portion = 10_007): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += portion) yield bytes.subarray(at, at + portion);
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of body) parts.push(part);
  return concat(parts);
}

async function listed(store: BlobStore): Promise<StoredBlob[]> {
  const found: StoredBlob[] = [];
  for await (const blob of store.list()) found.push(blob);
  return found.sort((a, b) => (a.id.hex < b.id.hex ? -1 : 1));
}

/** Sizes around every boundary: nothing, one chunk, what is read at once, and what counts as small. */
const SIZES = [
  0,
  1,
  CHUNK_BYTES - 1,
  CHUNK_BYTES,
  CHUNK_BYTES + 1,
  4 * CHUNK_BYTES + 1,
  16 * CHUNK_BYTES,
  16 * CHUNK_BYTES + 1,
  20 * CHUNK_BYTES + 77,
];

/** Every promise of `BlobStore`, as tests. */
export function blobStoreContract(name: string, { open, rot, durable }: Subject): void {
  const check = (title: string, body: (store: BlobStore, folder: string) => Promise<void>): void => {
    test(title, async () => {
      const folder = tempFolder();
      const store = await open(folder);
      await body(store, folder);
      await store.close();
    });
  };

  describe(`${name}: nothing there`, () => {
    check('is false, null or empty, never an error', async (store) => {
      for (const id of [blobOf(bytesOf(3)), blobOf(bytesOf(3), 'sha512')]) {
        assert.equal(await store.has(id), false);
        assert.equal(await store.size(id), null);
        assert.equal(await store.read(id), null);
        assert.equal(await store.open(id), null);
        assert.equal(await store.chunks(id), null);
        await store.delete(id);
      }
      assert.deepEqual(await listed(store), []);
    });

    check('is an error for what is no hash', async (store) => {
      const hex = digest('sha256', bytesOf(3));
      for (const wrong of ['', hex.slice(1), `${hex.slice(1)}g`, hex.toUpperCase(), `../${hex.slice(3)}`, hex + hex]) {
        const id = { algorithm: 'sha256', hex: wrong } as const;
        await assert.rejects(store.has(id), TypeError);
        await assert.rejects(store.size(id), TypeError);
        await assert.rejects(store.read(id), TypeError);
        await assert.rejects(store.open(id), TypeError);
        await assert.rejects(store.chunks(id), TypeError);
        await assert.rejects(store.delete(id), TypeError);
      }
    });
  });

  describe(`${name}: putMany`, () => {
    check('stores blobs of both algorithms and every size', async (store) => {
      const blobs = SIZES.flatMap((size) => {
        const bytes = bytesOf(size);
        return [
          { id: blobOf(bytes), bytes },
          { id: blobOf(bytes, 'sha512'), bytes },
        ];
      });
      await store.putMany(blobs);
      for (const { id, bytes } of blobs) {
        assert.equal(await store.has(id), true);
        assert.equal(await store.size(id), bytes.length);
        assert.deepEqual(await store.read(id), bytes);
        assert.deepEqual(await store.chunks(id), new ChunkHasher().update(bytes).digest());
      }
      assert.equal((await listed(store)).length, blobs.length);
    });

    check('stores nothing at all if one of the blobs is wrong', async (store) => {
      const [good, bad] = [bytesOf(10), bytesOf(11)];
      const wrong = { id: blobOf(good, 'sha512'), bytes: bad };
      await assert.rejects(store.putMany([{ id: blobOf(good), bytes: good }, wrong]), IntegrityError);
      assert.deepEqual(await listed(store), []);
    });

    check('may be repeated, also at the same time', async (store) => {
      const bytes = bytesOf(100);
      const blob = { id: blobOf(bytes), bytes };
      await Promise.all([store.putMany([blob, blob]), store.putMany([blob]), store.putMany([])]);
      await store.putMany([blob]);
      assert.deepEqual(await listed(store), [{ id: blob.id, size: 100 }]);
    });

    check('keeps only the bytes of a view, and leaves the caller his own', async (store) => {
      const whole = bytesOf(1_000);
      const bytes = whole.subarray(100, 200);
      await store.putMany([{ id: blobOf(bytes), bytes }]);
      assert.deepEqual(whole, bytesOf(1_000));
      const id = blobOf(bytes);
      const expected = new Uint8Array(bytes);
      whole.fill(0);
      assert.deepEqual(await store.read(id), expected);
    });
  });

  describe(`${name}: putStream`, () => {
    check('stores streams of every size, and says what they were', async (store) => {
      for (const size of SIZES) {
        const bytes = bytesOf(size);
        const chunks = new ChunkHasher().update(bytes).digest();
        const id = blobOf(bytes, 'sha512');
        assert.deepEqual(await store.putStream(id, stream(bytes), options), { id, size, sha512: id.hex, chunks });
        assert.deepEqual(await store.read(id), bytes);
        assert.deepEqual(await store.chunks(id), chunks);
      }
    });

    check('takes any promised hash, and stores under the hash asked for', async (store) => {
      const bytes = bytesOf(1_000);
      const sha512 = digest('sha512', bytes);
      for (const expected of [sha1Of(bytes), blobOf(bytes), blobOf(bytes, 'sha512')]) {
        for (const keyAlgorithm of ['sha256', 'sha512'] as const) {
          const stored = await store.putStream(expected, stream(bytes), { ...options, keyAlgorithm });
          assert.deepEqual([stored.id, stored.sha512], [blobOf(bytes, keyAlgorithm), sha512]);
        }
      }
      assert.equal((await listed(store)).length, 2);
    });

    check('refuses other bytes than promised, and keeps nothing', async (store) => {
      const promised = blobOf(bytesOf(1_000), 'sha512');
      const from = 'https://mirror.example/';
      const refused = store.putStream(promised, stream(bytesOf(1_000, 2)), { ...options, from });
      await assert.rejects(refused, (error) => {
        assert.ok(error instanceof IntegrityError);
        assert.equal(error.expected, `sha512:${promised.hex}`);
        assert.equal(error.actual, `sha512:${digest('sha512', bytesOf(1_000, 2))}`);
        assert.equal(error.source, from);
        return true;
      });
      assert.deepEqual(await listed(store), []);
    });

    check('stops an endless stream at the bound, and closes it', async (store) => {
      let taken = 0;
      let closed = false;
      async function* endless(): AsyncGenerator<Uint8Array> {
        try {
          for (; ; taken += 1_000) yield bytesOf(1_000);
        } finally {
          closed = true;
        }
      }
      const refused = store.putStream(blobOf(bytesOf(1), 'sha512'), endless(), { ...options, maxBytes: 5_000 });
      await assert.rejects(refused, TooLargeError);
      assert.ok(taken <= 6_000 && closed);
      assert.deepEqual(await listed(store), []);
    });

    check('takes a stream that is exactly as long as allowed', async (store) => {
      const bytes = bytesOf(5_000);
      await store.putStream(sha1Of(bytes), stream(bytes), { ...options, maxBytes: 5_000 });
      assert.equal((await listed(store)).length, 1);
    });

    check("passes the source's own error on, and keeps nothing", async (store) => {
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield bytesOf(100_000);
        throw new Error('connection lost');
      }
      await assert.rejects(store.putStream(blobOf(bytesOf(200_000), 'sha512'), broken(), options), /connection lost/);
      assert.deepEqual(await listed(store), []);
    });

    check('may put the same blob many times at once', async (store) => {
      for (const size of [100, 17 * CHUNK_BYTES]) {
        const bytes = bytesOf(size);
        const id = blobOf(bytes, 'sha512');
        await Promise.all(Array.from({ length: 8 }, () => store.putStream(id, stream(bytes), options)));
        assert.deepEqual(await store.read(id), bytes);
      }
      assert.equal((await listed(store)).length, 2);
    });
  });

  describe(`${name}: open`, () => {
    check('streams the whole blob, or any range of it', async (store) => {
      for (const size of SIZES) {
        const bytes = bytesOf(size);
        const id = blobOf(bytes);
        await store.putMany([{ id, bytes }]);
        const places = [0, 1, CHUNK_BYTES, 4 * CHUNK_BYTES - 1, 5 * CHUNK_BYTES + 3, size - 1, size];
        const within = [...new Set(places.filter((at) => at >= 0 && at <= size))];
        assert.deepEqual(await collect(await mustOpen(store, id)), bytes);
        for (const start of within) {
          for (const end of within.filter((at) => at >= start)) {
            const opened = await store.open(id, { start, end });
            assert.equal(opened?.size, size);
            assert.deepEqual(await collect(opened.body), bytes.slice(start, end), `${start} to ${end} of ${size}`);
          }
        }
      }
    });

    check('refuses a range that is not within the blob', async (store) => {
      for (const size of [10, 17 * CHUNK_BYTES]) {
        const bytes = bytesOf(size);
        const id = blobOf(bytes);
        await store.putMany([{ id, bytes }]);
        for (const [start, end] of [
          [-1, 5],
          [5, 4],
          [0, size + 1],
          [Number.NaN, 5],
        ] as const) {
          await assert.rejects(store.open(id, { start, end }), RangeError);
        }
      }
    });

    check('may be dropped, left early, and goes on when the blob is deleted', async (store) => {
      const bytes = bytesOf(20 * CHUNK_BYTES);
      const id = blobOf(bytes);
      await store.putMany([{ id, bytes }]);
      await mustOpen(store, id);
      for await (const part of await mustOpen(store, id)) {
        assert.ok(part.length > 0);
        break;
      }
      const parts: Uint8Array[] = [];
      for await (const part of await mustOpen(store, id)) {
        parts.push(part);
        await store.delete(id);
      }
      assert.deepEqual(concat(parts), bytes);
      assert.equal(await store.has(id), false);
    });
  });

  describe(`${name}: rot`, () => {
    for (const size of [100, 20 * CHUNK_BYTES]) {
      check(`in ${size} bytes is found by read, before anyone sees it`, async (store, folder) => {
        const id = await rotten(store, folder, size);
        await assert.rejects(store.read(id), IntegrityError);
        await assertGone(store, id);
      });

      check(`in ${size} bytes is found by open, before the wrong bytes are passed on`, async (store, folder) => {
        const id = await rotten(store, folder, size);
        const seen: Uint8Array[] = [];
        await assert.rejects(async () => {
          for await (const part of await mustOpen(store, id)) seen.push(part);
        }, IntegrityError);
        const good = concat(seen);
        assert.deepEqual(good, bytesOf(size).subarray(0, good.length));
        assert.ok(good.length < size);
        await assertGone(store, id);
      });

      check(`in ${size} bytes is healed by a new put`, async (store, folder) => {
        const id = await rotten(store, folder, size);
        await assert.rejects(store.read(id), IntegrityError);
        await store.putMany([{ id, bytes: bytesOf(size) }]);
        assert.deepEqual(await store.read(id), bytesOf(size));
      });
    }

    async function rotten(store: BlobStore, folder: string, size: number): Promise<BlobId> {
      const bytes = bytesOf(size);
      const id = blobOf(bytes, 'sha512');
      await store.putMany([{ id, bytes }]);
      await rot(store, folder, id);
      return id;
    }
  });

  describe(`${name}: delete and list`, () => {
    check('delete removes one blob, whatever was read of it before', async (store) => {
      const [a, b] = [bytesOf(10), bytesOf(20)];
      await store.putMany([
        { id: blobOf(a), bytes: a },
        { id: blobOf(a, 'sha512'), bytes: a },
        { id: blobOf(b), bytes: b },
      ]);
      await store.read(blobOf(a));
      await store.delete(blobOf(a));
      await assertGone(store, blobOf(a));
      assert.equal(await store.has(blobOf(a, 'sha512')), true);
      assert.equal(await store.has(blobOf(b)), true);
    });

    check('list names everything, also while blobs are deleted', async (store) => {
      const blobs = Array.from({ length: 520 }, (_, i) => bytesOf(8, i + 1)).map((bytes) => ({
        id: blobOf(bytes),
        bytes,
      }));
      await store.putMany(blobs);
      const expected = blobs.map(({ id }) => ({ id, size: 8 })).sort((a, b) => (a.id.hex < b.id.hex ? -1 : 1));
      assert.deepEqual(await listed(store), expected);
      let seen = 0;
      for await (const { id } of store.list()) {
        seen += 1;
        await store.delete(id);
      }
      assert.equal(seen, 520);
      assert.deepEqual(await listed(store), []);
    });
  });

  describe(`${name}: close`, () => {
    test('waits for the puts before it, then every method rejects', async () => {
      const store = await open(tempFolder());
      const bytes = bytesOf(100);
      const id = blobOf(bytes);
      const put = store.putMany([{ id, bytes }]);
      await store.close();
      await put.catch((error) => assert.match(String(error), /closed/));
      await store.close();
      await assert.rejects(store.has(id), /closed/);
      await assert.rejects(store.size(id), /closed/);
      await assert.rejects(store.read(id), /closed/);
      await assert.rejects(store.open(id), /closed/);
      await assert.rejects(store.chunks(id), /closed/);
      await assert.rejects(store.delete(id), /closed/);
      await assert.rejects(store.putMany([{ id, bytes }]), /closed/);
      await assert.rejects(store.putStream(id, stream(bytes), options), /closed/);
      await assert.rejects(listed(store), /closed/);
    });

    if (!durable) return;
    test('loses nothing', async () => {
      const folder = tempFolder();
      const store = await open(folder);
      const [small, large] = [bytesOf(100), bytesOf(20 * CHUNK_BYTES)];
      await store.putMany([{ id: blobOf(small), bytes: small }]);
      await store.putStream(blobOf(large, 'sha512'), stream(large), options);
      await store.close();
      const again = await open(folder);
      assert.deepEqual(await again.read(blobOf(small)), small);
      assert.deepEqual(await collect(await mustOpen(again, blobOf(large, 'sha512'))), large);
      assert.equal((await listed(again)).length, 2);
      await again.close();
    });
  });
}

async function mustOpen(store: BlobStore, id: BlobId): Promise<AsyncIterable<Uint8Array>> {
  const opened = await store.open(id);
  assert.ok(opened !== null, 'the blob is not there');
  return opened.body;
}

async function assertGone(store: BlobStore, id: BlobId): Promise<void> {
  assert.equal(await store.has(id), false);
  assert.equal(await store.size(id), null);
  assert.equal(await store.read(id), null);
  assert.equal(await store.open(id), null);
}
