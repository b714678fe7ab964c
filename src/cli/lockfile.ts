/** `lockfile`: which registries a lockfile names, and moving it to another or to none in particular. */
import { realpath, stat } from 'node:fs/promises';
import { FederationError, UsageError } from '../core/errors.ts';
import { LOCKFILE_BYTES_MAX } from '../core/limits.ts';
import { readLockfile } from '../core/lockfile.ts';
import { reportOf, verdictsOf } from '../core/lockfile-check.ts';
import type { Lockfile } from '../core/lockfile-entry.ts';
import { applyEdits, planRewrite, type Target } from '../core/lockfile-rewrite.ts';
import { formatReport, formatRewrite } from '../core/lockfile-text.ts';
import { parseRegistryUrl } from '../core/lockfile-url.ts';
import { ignoreMissing, readBounded, writeDurably } from '../io/durable-file.ts';
import { replacedRegistry } from '../io/npm-defaults.ts';

/** As commander gives them. */
export type RewriteOptions = { to?: string; portable?: boolean; from?: string[]; output?: string };

const EXIT = { fine: 0, attention: 1 };
const NEW_FILE_MODE = 0o644;
const PERMISSIONS = 0o777;

/**
 * Prints what a lockfile names, and with a registry whether each client would get everything there.
 *
 * @returns the exit code: 1 if a client would not, or if a URL is that of another package
 * @throws UsageError if the file is no lockfile that can be read
 */
export async function checkLockfile(file: string, { registry }: { registry?: string }): Promise<number> {
  const wanted = registry === undefined ? null : parseRegistryUrl(registry);
  const { bytes, lockfile } = await load(file);
  const report = reportOf(lockfile);
  const verdicts = wanted === null ? [] : verdictsOf(lockfile, wanted, replacedRegistry());
  const asked = wanted === null ? null : { registry: wanted, verdicts };
  process.stdout.write(formatReport(lockfile, report, bytes, asked));
  const works = verdicts.every((verdict) => verdict.works);
  return works && report.mismatched.length === 0 ? EXIT.fine : EXIT.attention;
}

/**
 * Rewrites a lockfile in its place, to another file, or to standard output (`-`); what it did goes to standard error.
 *
 * @returns the exit code: 1 if an entry that was meant could not be moved
 * @throws UsageError if the file is no lockfile that can be read, or the options make no sense
 */
export async function rewriteLockfile(file: string, options: RewriteOptions): Promise<number> {
  const target = targetOf(options);
  const from = (options.from ?? []).map(parseRegistryUrl);
  const { bytes, lockfile } = await load(file);
  const rewrite = planRewrite(lockfile, target, from);
  await save(file, options.output ?? file, applyEdits(bytes, rewrite.edits), rewrite.edits.length > 0);
  process.stderr.write(formatRewrite(rewrite, target, bytes));
  const isLeft = rewrite.kept.some(({ because }) => because === 'mismatch' || because === 'not-derivable');
  return isLeft ? EXIT.attention : EXIT.fine;
}

function targetOf({ to, portable }: RewriteOptions): Target {
  if ((to === undefined) === (portable !== true)) throw new UsageError('say either --to URL or --portable');
  return to === undefined ? 'portable' : { to: parseRegistryUrl(to) };
}

async function load(file: string): Promise<{ bytes: Uint8Array; lockfile: Lockfile }> {
  try {
    const bytes = await readBounded(file, LOCKFILE_BYTES_MAX);
    if (bytes === null) throw new UsageError('there is no such file');
    return { bytes, lockfile: readLockfile(bytes) };
  } catch (cause) {
    const isFolder = (cause as NodeJS.ErrnoException).code === 'EISDIR';
    if (!(cause instanceof FederationError) && !isFolder) throw cause;
    throw new UsageError(`${file}: ${isFolder ? 'it is a folder' : (cause as Error).message}`, { cause });
  }
}

/** A link stays a link: what it leads to is replaced. The file's permissions stay. */
async function save(source: string, output: string, bytes: Uint8Array, isChanged: boolean): Promise<void> {
  if (output === '-') return void process.stdout.write(bytes);
  if (output === source && !isChanged) return;
  const path = await realpath(output).catch(ignoreMissing);
  const mode = path === null ? NEW_FILE_MODE : (await stat(path)).mode & PERMISSIONS;
  await writeDurably(path ?? output, bytes, mode);
}
