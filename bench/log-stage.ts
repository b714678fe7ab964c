/** What the parts of the log's benchmark share. */
import { join } from 'node:path';
import { freePort } from './child.ts';
import { type LogProcess, startLogProcess } from './log-child.ts';

export type LogStage = {
  readonly quick: boolean;
  /** A folder for this run alone. */
  readonly work: string;
  readonly say: (line: string) => void;
};

/** Where nothing answers: an upstream that nobody asks anything. */
export const NO_UPSTREAM = 'http://127.0.0.1:9';

/** @param upstream null for an origin whose log stays as it is: it has nobody to learn from, and admits nobody */
export async function startedOrigin(data: string, upstream: string | null): Promise<LogProcess & { url: string }> {
  const settings = { data, port: await freePort(), upstream: upstream ?? NO_UPSTREAM, admitting: upstream !== null };
  const origin = startLogProcess('origin', settings);
  const { url } = await origin.until('ready');
  return { ...origin, url };
}

export function startedMirror(work: string, name: string, origin: string): LogProcess {
  return startLogProcess('mirror', { data: join(work, name), origin });
}
