/**
 * Runs tasks one at a time: of those that wait, the one of the highest rank next, and among equals the one that was given
 * first. One that fails does not keep the others from running.
 */
export class Ranked {
  readonly #waiting: { readonly rank: number; readonly start: () => Promise<void> }[] = [];
  #isRunning = false;

  run<T>(rank: number, task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ rank, start: () => task().then(resolve, reject) });
      if (!this.#isRunning) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#isRunning = true;
    // What is given in the same turn of the event loop competes.
    await null;
    for (let next = this.#takeForemost(); next; next = this.#takeForemost()) await next.start();
    this.#isRunning = false;
  }

  #takeForemost() {
    const rank = Math.max(...this.#waiting.map((one) => one.rank));
    const at = this.#waiting.findIndex((one) => one.rank === rank);
    return at < 0 ? undefined : this.#waiting.splice(at, 1)[0];
  }
}
