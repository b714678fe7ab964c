import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';

/** A mirror as a process of its own, without the command line; for tests that kill it. */
export interface MirrorProcess {
  readonly url: string;
  readonly hostId: string;
  readonly pid: number | undefined;
  /** `kill -9`; resolves when the process is gone. */
  kill(): Promise<void>;
}

type Ended = [code: number | null, signal: NodeJS.Signals | null];
type Spawned = { readonly child: ChildProcessByStdio<null, Readable, null>; readonly ended: Promise<Ended> };
type Scope = Pick<TestContext, 'after'>;

const PROGRAM = join(import.meta.dirname, 'mirror-process.ts');

/**
 * One that may end before it is ready. It ends with the test at the latest.
 * @param options as mirror-process.ts takes them
 * @returns `ended` resolves with its exit code and the signal that ended it
 */
export function spawnMirror(t: Scope, origin: string, data: string, options: object = {}): Spawned {
  const args = [PROGRAM, origin, data, JSON.stringify(options)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  return { child, ended: once(child, 'exit') as Promise<Ended> };
}

/** The same, once it listens; rejects if it ends before that. */
export async function startMirrorProcess(
  t: Scope,
  origin: string,
  data: string,
  options: object = {},
): Promise<MirrorProcess> {
  const { child, ended } = spawnMirror(t, origin, data, options);
  const tooEarly = ended.then(() => assert.fail('the mirror ended before it was ready'));
  const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), tooEarly])) as [string];
  const [, url = '', hostId = ''] = line.split(' ');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  return { url, hostId, pid: child.pid, kill };
}
