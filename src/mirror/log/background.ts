/** What is done without anybody waiting for it: at once, after a while, or again and again, until the mirror stops. */
export class Background {
  readonly #signal: AbortSignal;
  readonly #random: () => number;
  readonly #running = new Set<Promise<void>>();
  readonly #timers = new Set<NodeJS.Timeout>();

  /**
   * @param signal aborts when the mirror stops
   * @param random from 0 up to 1
   */
  constructor(signal: AbortSignal, random: () => number) {
    this.#signal = signal;
    this.#random = random;
  }

  /** Resolves when the task has ended, however it ends: what went wrong is told where that is known. */
  run(task: Promise<void>): Promise<void> {
    const ended = task
      .catch(() => undefined)
      .finally(() => {
        this.#running.delete(ended);
      });
    this.#running.add(ended);
    return ended;
  }

  after(ms: number, begin: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      begin();
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }

  /**
   * At once, and then again and again; mirrors that were started together must not go on looking together.
   * @returns resolves when the first pass has ended
   */
  repeat(everyMs: number, pass: () => Promise<void>): Promise<void> {
    if (this.#signal.aborted) return Promise.resolve();
    return this.run(pass()).then(() => {
      if (this.#signal.aborted) return;
      this.after(everyMs * (0.75 + this.#random() / 2), () => void this.repeat(everyMs, pass));
    });
  }

  /** Begins nothing more by itself. */
  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#running);
  }
}
