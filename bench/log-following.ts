/** A mirror follows a week of the public registry from an origin on loopback. */
import { join } from 'node:path';
import { runLogProcess } from './log-child.ts';
import { WEEK_ENTRIES } from './log-entries.ts';
import { type LogStage, startedMirror, startedOrigin } from './log-stage.ts';
import { absoluteRow, type Row } from './report.ts';

const QUICK_ENTRIES = 20_000;
const SECONDS_MAX = 30;
const MB_MAX = 200;
const BYTES_OF_MB = 1_000_000;

export async function benchFollowing({ quick, work, say }: LogStage): Promise<Row[]> {
  const data = join(work, 'followed');
  const size = quick ? QUICK_ENTRIES : WEEK_ENTRIES;
  await runLogProcess('fill', { data, size: 1 });
  await followed(work, data, 'one', 1);
  say(`making a log of ${size} entries`);
  await runLogProcess('fill', { data, size });
  say('following it');
  return [
    ...rowsOf(`follow ${size} entries from none`, size, await followed(work, data, 'none', size)),
    ...rowsOf(`follow ${size} entries from one`, size - 1, await followed(work, data, 'one', size)),
  ];
}

type Followed = { readonly seconds: number; readonly megabytes: number; readonly peakMb: number };

/** From the mirror's start until it serves the checkpoint; in the meantime it opens its stores and learns keys, too. */
async function followed(work: string, data: string, name: string, size: number): Promise<Followed> {
  const origin = await startedOrigin(data, null);
  const mirror = startedMirror(work, name, origin.url);
  try {
    const { atMs } = await mirror.until('served', (served) => served.size >= size);
    const { startedMs, receivedBytes, peakMb } = await mirror.facts();
    return { seconds: (atMs - startedMs) / 1000, megabytes: receivedBytes / BYTES_OF_MB, peakMb };
  } finally {
    await mirror.stop();
    await origin.stop();
  }
}

function rowsOf(what: string, entries: number, { seconds, megabytes, peakMb }: Followed): Row[] {
  const figure = (value: number) => ({ who: 'mirror', value });
  return [
    absoluteRow(what, 's', figure(seconds), { atMost: SECONDS_MAX }),
    absoluteRow(`${what}, rate`, 'entries/s', figure(entries / seconds), null),
    absoluteRow(`${what}, received as sent`, 'MB', figure(megabytes), null),
    absoluteRow(`${what}, peak memory`, 'MB', figure(peakMb), { atMost: MB_MAX }),
  ];
}
