/** Doing something again and again, never twice at once. */

export type Schedule = {
  /** Resolves when the task is not running and will not run again. */
  stop(): Promise<void>;
  /** Runs the task now, or joins the run in progress, and counts the interval anew. */
  runNow(): Promise<void>;
};

export type ScheduleOptions = {
  /** From the end of a run to the start of the next. */
  readonly intervalMs: number;
  /** Up to this share of the interval is added at random, so that many servers don't act in step. Default 0.1. */
  readonly jitter?: number;
  /** 0 to 1. */
  readonly random?: () => number;
  /** Told what the task threw; the schedule goes on. */
  readonly onError: (error: unknown) => void;
};

/** Starts a schedule; the first run comes after one interval. The timer alone does not keep a process alive. */
export function every(task: () => Promise<void>, options: ScheduleOptions): Schedule {
  const { intervalMs, jitter = 0.1, random = Math.random, onError } = options;
  let running: Promise<void> | null = null;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;

  const arm = (): void => {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(runNow, intervalMs * (1 + jitter * random())).unref();
  };
  const runNow = (): Promise<void> => {
    if (stopped) return Promise.resolve();
    running ??= run();
    return running;
  };
  const run = async (): Promise<void> => {
    clearTimeout(timer);
    try {
      await task();
    } catch (error) {
      onError(error);
    } finally {
      running = null;
      arm();
    }
  };
  arm();
  return {
    runNow,
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
