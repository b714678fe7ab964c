import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { clientFolder, isFetched } from './client-folders.ts';
import type { Follower } from './follower-table.ts';
import { Printed } from './printed.ts';
import { killGroup } from './run.ts';
import { tempFolder } from './temp-folder.ts';
import { until } from './until.ts';

/** A follower at work. */
export interface Following {
  /** Names of the first `count` changes that it saw, in its order; waits for them. */
  names(count: number): Promise<string[]>;
  /** `kill -9`, once it knows where to go on. */
  kill(): Promise<void>;
}

/** A follower's user: starts it again and again, each time where it was before. */
export interface FollowerUser {
  start(): Following;
}

/** Why a follower can't run here, or false. Where nothing may be skipped it runs, and fails. */
export function reasonToSkipFollower(follower: Follower): string | false {
  if (isFetched(follower) || process.env.OPEN_REGISTRY_TESTS_STRICT === '1') return false;
  return `${follower.label} could not be fetched`;
}

export function userOf(t: Pick<TestContext, 'after'>, follower: Follower, registry: string): FollowerUser {
  const state = join(tempFolder(), 'sequence');
  let since = '0';
  return {
    start: () => {
      const child = spawn(process.execPath, ['-e', follower.program], {
        cwd: clientFolder(follower),
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env.PATH, HOME: tempFolder(), REGISTRY: registry, SINCE: since, STATE: state },
      });
      t.after(() => killGroup(child));
      const printed = new Printed(child);
      let seen = 0;
      const changes = (count: number) => printed.until(/^(\d+) (\S+)$/, count);
      return {
        names: async (count) => {
          seen = count;
          return (await changes(count)).map((match) => match[2] as string);
        },
        kill: async () => {
          since = (await changes(seen)).at(-1)?.[1] ?? since;
          if (follower.keepsPlace) await until(`${since} in its file`, () => holds(state, since));
          killGroup(child);
          assert.equal(await ended(child), 'SIGKILL', printed.all());
        },
      };
    },
  };
}

async function holds(file: string, text: string): Promise<boolean> {
  return (await readFile(file, 'utf8').catch(() => '')).trim() === text;
}

function ended(child: ReturnType<typeof spawn>): Promise<string | number | null> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve(child.signalCode ?? child.exitCode);
    child.once('exit', (code, signal) => resolve(signal ?? code));
  });
}
