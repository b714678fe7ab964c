import { once } from 'node:events';
import type { TestContext } from 'node:test';
import type { Worker } from 'node:worker_threads';

/** The threads that databases opened from now on are written by. The answer ends them all, as a fault in them would. */
export function writerThreads(t: Pick<TestContext, 'after'>): () => Promise<void> {
  const threads: Worker[] = [];
  const note = (thread: Worker) => void threads.push(thread);
  process.on('worker', note);
  t.after(() => process.off('worker', note));
  return async () => {
    await Promise.all(threads.map((thread) => Promise.all([once(thread, 'exit'), thread.terminate()])));
  };
}
