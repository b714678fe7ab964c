import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { createBodyRooms, type Room } from '../../src/io/body-rooms.ts';

const SIZES = [
  { fromBytes: 0, places: 4 },
  { fromBytes: 100, places: 2 },
  { fromBytes: 1_000, places: 1 },
];

/** A body that grows when told to and ends when told to. */
function body(rooms: ReturnType<typeof createBodyRooms>) {
  const state = { started: false, held: 0 };
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  let room: Room | undefined;
  const done = rooms(async (own) => {
    state.started = true;
    room = own;
    await ended;
  });
  const grow = (bytes: number) => void room?.grow(bytes).then(() => (state.held = bytes));
  return { state, grow, end, done };
}

test('the larger bodies are, the fewer of them there are at once', async () => {
  const rooms = createBodyRooms(SIZES);
  const bodies = Array.from({ length: 5 }, () => body(rooms));
  const held = () => bodies.map(({ state }) => state.held);
  await setImmediate();
  assert.deepEqual(
    bodies.map(({ state }) => state.started),
    [true, true, true, true, false],
  );
  for (const one of bodies) one.grow(99);
  await setImmediate();
  assert.deepEqual(held(), [99, 99, 99, 99, 0]);
  for (const one of bodies) one.grow(100);
  await setImmediate();
  assert.deepEqual(held(), [100, 100, 99, 99, 0]);
  bodies[0]?.grow(5_000);
  bodies[1]?.grow(5_000);
  await setImmediate();
  assert.deepEqual(held(), [5_000, 100, 99, 99, 0]);
  bodies[0]?.end();
  await setImmediate();
  assert.deepEqual(held(), [5_000, 5_000, 100, 99, 0]);
  assert.equal(bodies[4]?.state.started, true);
  for (const one of bodies) one.end();
  await Promise.all(bodies.map(({ done }) => done));
});

test('a task that fails leaves its room, and so does one that ends while it waits for more', async () => {
  const rooms = createBodyRooms([{ fromBytes: 10, places: 1 }]);
  const first = body(rooms);
  await setImmediate();
  first.grow(10);
  const impatient = rooms(async (room) => {
    void room.grow(10);
    throw new Error('out of time');
  });
  await assert.rejects(impatient, /out of time/);
  first.end();
  await first.done;
  assert.equal(await rooms((room) => room.grow(10).then(() => 'held')), 'held');
});
