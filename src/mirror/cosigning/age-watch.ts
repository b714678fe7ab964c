/** Watches how old the served checkpoint is: being kept from news must not go unnoticed. */
import type { CheckpointAge } from '../../core/checkpoint-age.ts';
import type { Logger } from '../../io/logger.ts';

const LOOK_MS = 60_000;

export type AgeWatch = { start(): void; close(): void };

/**
 * @param look asks the origin, and peers where it can't be asked; called each minute while nobody has confirmed for an hour
 * that what is served is the newest. It goes on being served.
 */
export function createAgeWatch(age: () => CheckpointAge | null, look: () => void, logger: Logger): AgeWatch {
  let timer: NodeJS.Timeout | undefined;
  let isOld = false;

  function watch(): void {
    const now = age();
    const wasOld = isOld;
    isOld = now !== null && !now.fresh;
    if (isOld && !wasOld) {
      logger.warn(
        { ...now },
        'nobody has confirmed for an hour that the served checkpoint is the newest; asking peers',
      );
    }
    if (!isOld && wasOld) logger.info({ ...now }, 'the served checkpoint is known to be the newest again');
    if (isOld) look();
  }

  return {
    start() {
      watch();
      timer = setInterval(watch, LOOK_MS);
      timer.unref();
    },
    close: () => clearInterval(timer),
  };
}
