/** Processes of the log's benchmark (log-process.ts), as the one that measures sees them. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { benchRoot } from './corpus.ts';

/**
 * What a process tells. `atMs` is read from the clock that counts from the machine's start, which all processes share
 * (CLOCK_MONOTONIC, process.hrtime).
 */
export type Told =
  | { readonly what: 'ready'; readonly url: string }
  /** The log durably has so many entries; nothing is signed yet. */
  | { readonly what: 'committed'; readonly size: number; readonly atMs: number }
  /** A mirror has verified them all, and shows the checkpoint. */
  | { readonly what: 'served'; readonly size: number; readonly atMs: number }
  | ({ readonly what: 'facts' } & Facts)
  | { readonly what: 'result'; readonly value: unknown };

/** Bytes as they came over sockets that the process opened, headers included; memory in MB, `peakMb` since its start. */
export type Facts = {
  readonly startedMs: number;
  readonly receivedBytes: number;
  readonly rssMb: number;
  readonly peakMb: number;
};

export type LogProcess = {
  /** All that it told so far. */
  readonly told: readonly Told[];
  /** The first of what it tells, or has told, that fits. @throws Error if the process ends before that */
  until<W extends Told['what']>(what: W, fits?: (told: Of<W>) => boolean): Promise<Of<W>>;
  facts(): Promise<Facts>;
  stop(): Promise<void>;
};
type Of<W extends Told['what']> = Extract<Told, { what: W }>;

/** Starts one. @param options what its role takes */
export function startLogProcess(role: string, options: Readonly<Record<string, unknown>>): LogProcess {
  const script = join(import.meta.dirname, 'log-process.ts');
  // As `npm start` runs a server.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(benchRoot, 'compile'), MALLOC_ARENA_MAX: '1' };
  const execArgv = ['--max-semi-space-size=8', ...(process.env.BENCH_NODE_OPTIONS?.split(' ') ?? [])];
  const child = fork(script, [role, JSON.stringify(options)], { env, execArgv });
  const told: Told[] = [];
  const looks = new Set<() => void>();
  const lookAll = () => {
    for (const look of looks) look();
  };
  child.on('message', (message: Told) => {
    told.push(message);
    lookAll();
  });
  child.on('exit', lookAll);

  const until = <W extends Told['what']>(what: W, fits: (one: Of<W>) => boolean, from = 0): Promise<Of<W>> =>
    new Promise((resolve, reject) => {
      let at = from;
      const look = () => {
        for (; at < told.length; at++) {
          const one = told[at] as Told;
          if (one.what === what && fits(one as Of<W>)) return settle(() => resolve(one as Of<W>));
        }
        if (hasEnded(child)) settle(() => reject(new Error(`the ${role} has ended before it was ${what}`)));
      };
      const settle = (then: () => void) => {
        looks.delete(look);
        then();
      };
      looks.add(look);
      look();
    });

  return {
    told,
    until: (what, fits = () => true) => until(what, fits),
    facts: () => {
      child.send('facts');
      return until('facts', () => true, told.length);
    },
    stop: async () => {
      if (hasEnded(child)) return;
      const ended = once(child, 'exit');
      child.send('stop');
      await ended;
    },
  };
}

/** Runs one to its end. @returns what it came to */
export async function runLogProcess<T>(role: string, options: Readonly<Record<string, unknown>>): Promise<T> {
  const child = startLogProcess(role, options);
  const { value } = await child.until('result');
  await child.stop();
  return value as T;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
