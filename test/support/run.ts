import { type ChildProcess, spawn } from 'node:child_process';

export interface Outcome {
  readonly command: string;
  /** null when a signal ended the process. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

export interface RunOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** After this long the process and its children are killed, and the outcome has no code. */
  readonly timeoutMs?: number;
}

/** Runs a command to its end, without input; rejects only when it can't be started. */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<Outcome> {
  const started = performance.now();
  const child = spawn(command, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const limit = setTimeout(() => killGroup(child), options.timeoutMs ?? 120_000);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk) => stdout.push(chunk));
  child.stderr.on('data', (chunk) => stderr.push(chunk));
  const code = await closed(child).finally(() => clearTimeout(limit));
  return {
    command: [command, ...args].join(' '),
    code,
    stdout: Buffer.concat(stdout).toString(),
    stderr: Buffer.concat(stderr).toString(),
    milliseconds: Math.round(performance.now() - started),
  };
}

/** Kills a process that was started `detached`, together with everything it started. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function closed(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
}

/** The outcome of a failed command as a message that shows everything it said. */
export function described(outcome: Outcome): string {
  const { command, code, milliseconds, stdout, stderr } = outcome;
  return `${command}\nended with ${code} after ${milliseconds} ms\n${stdout}\n${stderr}`;
}
