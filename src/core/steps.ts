/**
 * Long work in steps: a generator that yields where whoever drives it may let others have their turn, and returns the
 * result. Inside a process that serves, io/turn drives it; where nobody waits, {@link finish} does.
 */
export type Steps<T> = Generator<void, T>;

/** The result, all steps in one go. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}
