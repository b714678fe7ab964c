/** Runs a task for each item, at most so many at a time; rejects with the first failure, after those under way ended. */
export async function inParallel<T>(
  items: Iterable<T>,
  tasksMax: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]();
  const failures: unknown[] = [];
  async function work(): Promise<void> {
    for (let next = rest.next(); !next.done && failures.length === 0; next = rest.next()) {
      await task(next.value).catch((error: unknown) => failures.push(error));
    }
  }
  await Promise.all(Array.from({ length: tasksMax }, work));
  if (failures.length > 0) throw failures[0];
}
