/** From starting a process on data that it has to its first answer. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServerProcess } from './child.ts';
import { absoluteRow, median, type Row } from './report.ts';
import { prepareVerdaccio, startMirror, startOrigin, startVerdaccio } from './servers.ts';
import { type Stage, warmOrigin } from './stage.ts';

const MS_MAX = 500;

export async function benchStarts(stage: Stage): Promise<Row[]> {
  const replay = await stage.replay();
  const work = join(stage.work, 'starts');
  await mkdir(work);
  const rounds = stage.quick ? 1 : 5;
  const origins = await times(rounds, () => startOrigin(work, replay.url));
  const origin = await startOrigin(work, replay.url);
  try {
    await warmOrigin(origin.url);
    const mirrors = await times(rounds, () => startMirror(work, origin));
    await prepareVerdaccio(stage.say);
    const verdaccios = await times(rounds, () => startVerdaccio(work, replay.url));
    return [
      absoluteRow('start to first answer', 'ms', { who: 'origin', value: origins }, { atMost: MS_MAX }),
      absoluteRow('start to first answer', 'ms', { who: 'mirror', value: mirrors }, { atMost: MS_MAX }),
      absoluteRow('start to first answer', 'ms', { who: 'Verdaccio', value: verdaccios }, null),
    ];
  } finally {
    await origin.stop();
  }
}

/** The first start makes the data. */
async function times(rounds: number, start: () => Promise<ServerProcess>): Promise<number> {
  const taken: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const server = await start();
    await server.stop();
    if (round > 0) taken.push(server.firstAnswerMs);
  }
  return median(taken);
}
