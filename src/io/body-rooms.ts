/** Keeps the bodies that are held in memory few: the larger they are, the fewer of them at once. */
import { createGate } from './gate.ts';

/** At most `places` bodies of `fromBytes` or more at once. */
export type RoomSize = { readonly fromBytes: number; readonly places: number };

/** The room of one body. */
export type Room = {
  /** Resolves when the body may have this many bytes. To be awaited before the next call. */
  grow(bytes: number): Promise<void>;
};

type Gate = ReturnType<typeof createGate>;

/**
 * Runs tasks that hold one body each, which has its room until the task ends. Bodies that wait for more room keep what
 * they have; since all go from smaller to larger sizes, none waits for one that waits for it. A task must not wait for
 * another one that needs a room.
 * @param sizes from small to large
 */
export function createBodyRooms(sizes: readonly RoomSize[]): <T>(task: (room: Room) => Promise<T>) => Promise<T> {
  const gates = sizes.map(({ fromBytes, places }) => ({ fromBytes, gate: createGate(places) }));
  return async (task) => {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    let entered = 0;
    const grow = async (bytes: number): Promise<void> => {
      for (const { fromBytes, gate } of gates.slice(entered)) {
        if (bytes < fromBytes) return;
        entered += 1;
        await enter(gate, ended);
      }
    };
    try {
      await grow(0);
      return await task({ grow });
    } finally {
      end();
    }
  };
}

/** Resolves inside of the gate, which is left when `ended` resolves, also by one that has given up waiting. */
function enter(gate: Gate, ended: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    void gate(() => {
      resolve();
      return ended;
    });
  });
}
