import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endingAs } from '../../src/io/unfinished-body.ts';

const BYTES = 200_000;
const failure = new Error('the source broke off');

async function* source(pieces: number[], fails: boolean): AsyncGenerator<Uint8Array> {
  for (const length of pieces) yield new Uint8Array(length).fill(1);
  if (fails) throw failure;
}

async function ended(badEnd: 'fill' | 'cut', pieces: number[], fails: boolean) {
  const told: unknown[] = [];
  const parts: Uint8Array[] = [];
  let thrown: unknown = null;
  try {
    for await (const part of endingAs(badEnd, source(pieces, fails), BYTES, (...all) => told.push(all)))
      parts.push(part);
  } catch (error) {
    thrown = error;
  }
  const body = Buffer.concat(parts);
  return { length: body.length, right: body.lastIndexOf(1) + 1, told, thrown };
}

test('a body that comes to its end is passed on as it is', async () => {
  for (const badEnd of ['fill', 'cut'] as const) {
    assert.deepEqual(await ended(badEnd, [150_000, 50_000], false), {
      length: BYTES,
      right: BYTES,
      told: [],
      thrown: null,
    });
  }
});

test('a body whose source fails is filled to its length, or cut', async () => {
  const facts = { right: 50_001, told: [[failure, 50_001]] };
  assert.deepEqual(await ended('fill', [50_000, 1], true), { ...facts, length: BYTES, thrown: null });
  assert.deepEqual(await ended('cut', [50_000, 1], true), { ...facts, length: 50_001, thrown: failure });
  assert.deepEqual(await ended('fill', [], true), { length: BYTES, right: 0, told: [[failure, 0]], thrown: null });
  assert.equal((await ended('fill', [BYTES], true)).length, BYTES);
});
