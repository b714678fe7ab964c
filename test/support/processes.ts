import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { projectRoot } from './folders.ts';
import { Printed } from './printed.ts';
import { killGroup, type Outcome, run } from './run.ts';
import { tempFolder } from './temp-folder.ts';
import { readVisits, type Visit } from './visits.ts';

/** A server of this project as a process of its own, started through the command line as an operator would. */
export interface Running {
  /** Base URLs from the ready lines of a role, once that many stand there; rejects when the process ends first. */
  ready(role: 'origin' | 'mirror', count?: number): Promise<string[]>;
  /** Resolves with the first line of its standard output that matches, past or future; rejects when the process ends first. */
  line(pattern: RegExp): Promise<RegExpMatchArray>;
  /** Everything it printed so far, for messages of failed tests. */
  output(): string;
  /** What its HTTP servers answered so far. */
  visits(): Promise<Visit[]>;
  /** Asks it to drain and end; resolves with its exit code. */
  stop(): Promise<number | null>;
  /** `kill -9`; resolves when the process is gone. */
  kill(): Promise<void>;
}

/**
 * Starts `open-registry <args>`. It ends with the test at the latest, together with anything it started.
 * Nothing of the tester's own npm settings reaches it: a test says what the upstream is.
 */
export async function startCommand(t: Pick<TestContext, 'after'>, args: readonly string[], env = {}): Promise<Running> {
  const work = tempFolder();
  const visitsFile = join(work, 'visits.jsonl');
  await writeFile(visitsFile, '');
  const spy = join(import.meta.dirname, 'http-spy.ts');
  const child = spawn(process.execPath, ['--import', spy, join(projectRoot, 'src/cli/main.ts'), ...args], {
    cwd: work,
    detached: true,
    // The channel lets the observer in the child notice when the tests themselves were killed.
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { PATH: process.env.PATH, HOME: work, OPEN_REGISTRY_TEST_VISITS: visitsFile, ...env },
  });
  t.after(() => killGroup(child));
  return running(child, visitsFile);
}

/** Runs a command of the command line to its end. */
export function runCommand(args: readonly string[]): Promise<Outcome> {
  const cwd = tempFolder();
  const env = { PATH: process.env.PATH, HOME: cwd };
  return run(process.execPath, [join(projectRoot, 'src/cli/main.ts'), ...args], { cwd, env });
}

/** A port of `localhost` that nothing listens on, for a server that must be known before it is ready. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, 'localhost');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function running(child: ChildProcess, visitsFile: string): Running {
  const printed = new Printed(child);
  return {
    ready: async (role, count = 1) => {
      const pattern = new RegExp(`^open-registry ${role} ready (\\S+)`);
      return (await printed.until(pattern, count)).map((match) => match[1]?.replace(/\/$/, '') ?? '');
    },
    line: async (pattern) => (await printed.until(pattern, 1))[0] as RegExpMatchArray,
    output: () => printed.all(),
    visits: () => readVisits(visitsFile),
    stop: () => signal(child, 'SIGTERM'),
    kill: async () => void (await signal(child, 'SIGKILL')),
  };
}

function signal(child: ChildProcess, name: NodeJS.Signals): Promise<number | null> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve(child.exitCode);
    child.once('close', resolve);
    child.kill(name);
  });
}
