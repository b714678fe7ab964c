/** Appends per second at the origin's log. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AppendRuns } from './log-append-runs.ts';
import { runLogProcess } from './log-child.ts';
import type { LogStage } from './log-stage.ts';
import { absoluteRow, percentile, type Row } from './report.ts';

const TOGETHER = 1_000;
/** Sixty times what the public registry has on average, and what small machines manage with other engines. */
const SINGLES_MIN = 20;
const TOGETHER_MIN = 1_500;

export async function benchAppends({ work, quick }: LogStage): Promise<Row[]> {
  const data = join(work, 'appends');
  await mkdir(data);
  const counts = quick ? { singles: 300, rounds: 3 } : { singles: 2_000, rounds: 20 };
  const { singleMs, together } = await runLogProcess<AppendRuns>('appends', { data, together: TOGETHER, ...counts });
  const perSecond = (count: number, ms: number) => ({ who: 'origin', value: (count / ms) * 1000 });
  const sum = singleMs.reduce((total, ms) => total + ms, 0);
  const single = (part: number) => ({ who: 'origin', value: percentile(singleMs, part) });
  return [
    absoluteRow('append, one after the other', 'per second', perSecond(singleMs.length, sum), { atLeast: SINGLES_MIN }),
    absoluteRow('append, one after the other, median', 'ms', single(0.5), null),
    absoluteRow('append, one after the other, 95th percentile', 'ms', single(0.95), null),
    absoluteRow('append, one after the other, longest', 'ms', single(1), null),
    absoluteRow('append, 1,000 at a time', 'per second', perSecond(together.appends, together.ms), {
      atLeast: TOGETHER_MIN,
    }),
    absoluteRow('checkpoints meanwhile', 'per second', perSecond(together.checkpoints, together.ms), null),
  ];
}
