/** Reads the lockfile of any client: tells its format by its content, and finds where its packages come from. */

import { MalformedError, TooLargeError, UsageError } from './errors.ts';
import { LOCKFILE_BYTES_MAX } from './limits.ts';
import { memberNames, readBunLockfile } from './lockfile-bun.ts';
import { bytesAsText, type Lockfile, type LockfileFormat } from './lockfile-entry.ts';
import { readNpmLockfile } from './lockfile-npm.ts';
import { isPnpm, readPnpmLockfile } from './lockfile-pnpm.ts';
import { isYarn1, readYarn1Lockfile } from './lockfile-yarn-1.ts';
import { isYarn4, readYarn4Lockfile } from './lockfile-yarn-4.ts';

const BYTE_ORDER_MARK = '\u00EF\u00BB\u00BF';

const READERS: Readonly<Record<LockfileFormat, (bytes: Uint8Array, start: number) => Lockfile>> = {
  npm: readNpmLockfile,
  pnpm: readPnpmLockfile,
  'yarn-1': readYarn1Lockfile,
  'yarn-4': readYarn4Lockfile,
  bun: readBunLockfile,
};

/**
 * Reads a lockfile of npm (lockfileVersion 1 to 3), pnpm (5 to 9), yarn 1, yarn 2 to 4, or bun (text). Its bytes need
 * not be UTF-8 where nobody looks.
 *
 * @throws UsageError for lockfiles that are known and can't be read: bun's binary one, deno's, one in a merge conflict
 * @throws MalformedError if it is no lockfile, has an unknown version, or is cut off
 * @throws TooLargeError for more than `LOCKFILE_BYTES_MAX`
 */
export function readLockfile(bytes: Uint8Array): Lockfile {
  if (bytes.length > LOCKFILE_BYTES_MAX) {
    throw new TooLargeError(`a lockfile has at most ${LOCKFILE_BYTES_MAX} bytes; this has ${bytes.length}`);
  }
  const text = bytesAsText(bytes);
  const start = text.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;
  refuseUnreadable(text);
  return READERS[formatOf(text, start)](bytes, start);
}

function refuseUnreadable(text: string): void {
  if (text.startsWith('#!/usr/bin/env bun\nbun-lockfile-format')) {
    throw new UsageError(
      'this is bun.lockb, which is binary; `bun install --save-text-lockfile --frozen-lockfile --lockfile-only` writes bun.lock',
    );
  }
  if (/^<{7} /m.test(text)) throw new UsageError('it holds the marks of a merge conflict; resolve that first');
}

function formatOf(text: string, start: number): LockfileFormat {
  const names = memberNames(text, start);
  if (names !== null) return formatByNames(names);
  if (isYarn4(text)) return 'yarn-4';
  if (isYarn1(text)) return 'yarn-1';
  if (isPnpm(text)) return 'pnpm';
  throw new MalformedError('lockfile', 'it is none of package-lock.json, pnpm-lock.yaml, yarn.lock and bun.lock');
}

function formatByNames(names: ReadonlySet<string>): LockfileFormat {
  if (names.has('specifiers') && !names.has('lockfileVersion')) {
    throw new UsageError("this is deno's lockfile, which can't be read here yet");
  }
  if (names.has('workspaces') && names.has('lockfileVersion')) return 'bun';
  if (names.has('lockfileVersion')) return 'npm';
  throw new MalformedError('lockfile', 'it has no lockfileVersion, so it is no lockfile, or older than npm 5');
}
