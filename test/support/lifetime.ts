import { after } from 'node:test';

/** Stands in for a test's `after` where servers are shared by the tests of a file: they end with the file. */
export function lifetime(): { after(task: () => unknown): void } {
  const tasks: (() => unknown)[] = [];
  after(async () => {
    for (const task of tasks.reverse()) await task();
  });
  return { after: (task) => void tasks.push(task) };
}
