import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { sha256Hex } from '../../src/core/hash.ts';
import { collect } from '../../src/io/http-body.ts';
import { sha256InTurns } from '../../src/io/turn.ts';

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const tooMuch = () => new Error('too much');
const whole = randomBytes(1_000);

for (const announced of [0, 1, 999, 1_000, 1_001, 2_000, 2_001, Number.NaN, -1, Number.POSITIVE_INFINITY]) {
  test(`a body of 1000 bytes is whole when ${announced} are announced`, async () => {
    for (const size of [1, 7, 999, 1_000]) {
      assert.deepEqual(await collect(cut(whole, size), 2_000, tooMuch, { announced }), whole, `pieces of ${size}`);
    }
  });
}

test('a body without a piece is empty, whatever was announced', async () => {
  assert.equal((await collect(cut(whole.subarray(0, 0), 1), 2_000, tooMuch, { announced: 2_000 })).length, 0);
});

test('a body is refused once it passes its bound', async () => {
  for (const announced of [0, 999]) {
    await assert.rejects(collect(cut(whole, 100), 999, tooMuch, { announced }), /too much/);
  }
});

test('room is asked for before a piece is kept: for what is announced, or else for what has come', async () => {
  const asked: number[] = [];
  const room = { grow: async (bytes: number) => void asked.push(bytes) };
  await collect(cut(whole, 400), 2_000, tooMuch, { room });
  await collect(cut(whole, 400), 2_000, tooMuch, { room, announced: 1_000 });
  assert.deepEqual(asked, [400, 800, 1_000, 1_000, 1_000, 1_000]);
});

test('no more of a body is read while it waits for room', async () => {
  let read = 0;
  async function* counted() {
    for await (const piece of cut(whole, 400)) {
      read += 1;
      yield piece;
    }
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  const waiting = Promise.withResolvers<void>();
  const grow = (bytes: number) => {
    if (bytes > 400) waiting.resolve();
    return bytes > 400 ? promise : Promise.resolve();
  };
  const collected = collect(counted(), 2_000, tooMuch, { room: { grow } });
  await waiting.promise;
  assert.equal(read, 2);
  resolve();
  assert.deepEqual(await collected, whole);
});

test('a hash made in turns is the hash, around the size of a piece', async () => {
  const bytes = randomBytes(600_000);
  for (const size of [0, 1, 262_143, 262_144, 262_145, 524_288, 600_000]) {
    assert.equal(await sha256InTurns(bytes.subarray(0, size)), sha256Hex(bytes.subarray(0, size)), `${size} bytes`);
  }
});
