/** Waking those who wait for something to change, without a wake-up ever being missed. */

export type Bell = {
  /** How often it has rung. To be read before looking whether anything changed. */
  rung(): number;
  ring(): void;
  /**
   * Waits until it has rung more than `seen` times (`rang`), `ms` have passed (`silence`; null: for ever), or there is
   * nothing to wait for any more (`over`): the signal was aborted, or the bell closed.
   */
  wait(seen: number, ms: number | null, signal: AbortSignal): Promise<'rang' | 'silence' | 'over'>;
  /** Ends all waiting, now and later. */
  close(): void;
};

export function createBell(): Bell {
  const waiting = new Set<(why: 'rang' | 'over') => void>();
  let count = 0;
  let closed = false;
  const tell = (why: 'rang' | 'over') => {
    for (const wake of [...waiting]) wake(why);
  };

  return {
    rung: () => count,
    ring: () => {
      count += 1;
      tell('rang');
    },
    wait: (seen, ms, signal) =>
      new Promise((resolve) => {
        if (closed || signal.aborted) return resolve('over');
        if (count > seen) return resolve('rang');
        const wake = (why: 'rang' | 'silence' | 'over') => {
          clearTimeout(timer);
          waiting.delete(wake);
          signal.removeEventListener('abort', left);
          resolve(why);
        };
        const left = () => wake('over');
        const timer = ms === null ? undefined : setTimeout(wake, ms, 'silence');
        waiting.add(wake);
        signal.addEventListener('abort', left);
      }),
    close: () => {
      closed = true;
      tell('over');
    },
  };
}
