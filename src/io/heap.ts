/** How the process's own heap grows. */
import { setFlagsFromString } from 'node:v8';

/**
 * Has V8 collect what is old once that has grown by a fifth, where it would wait until it has doubled or more: a server's
 * caches turn over all the time, so what it waits for is nearly all garbage. Can be set at any time, unlike the size of the
 * young generation.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--heap-growing-percent=20');
}
