import { setImmediate } from 'node:timers/promises';

/**
 * Makes a function to await inside long computations: it gives way to the event loop once `sliceMs` of work were
 * done since it last did, so that other requests go on being answered.
 */
export function createPacer(sliceMs = 8): () => Promise<void> | undefined {
  let sliceEnd = performance.now() + sliceMs;
  return () => {
    if (performance.now() < sliceEnd) return undefined;
    return setImmediate().then(() => {
      sliceEnd = performance.now() + sliceMs;
    });
  };
}
