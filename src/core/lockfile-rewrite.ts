/** Moves a lockfile to another registry, or to none in particular, by replacing the bytes of its URLs and no others. */

import { tarballUrlAt } from './assembly.ts';
import { concat, utf8 } from './bytes.ts';
import { UsageError } from './errors.ts';
import type { Edit, Lockfile, LockfileEntry, UrlSlot } from './lockfile-entry.ts';
import { isAt, type JudgedUrl, judgeUrl } from './lockfile-url.ts';

/** `to`: a registry's base URL as `parseRegistryUrl` gives it; `portable`: whatever is configured where it is used. */
export type Target = { readonly to: string } | 'portable';

/** Why an entry stays as it is. */
export type KeptBecause =
  /** The URL is that of another package or version. */
  | 'mismatch'
  /** It comes from git, a file or a link, or its URL is none that registries use, so no registry has the same. */
  | 'elsewhere'
  /** It is at none of the registries to move from. */
  | 'not-from'
  /** The client could not derive it: the file has an unusual name, or there is no hash. */
  | 'not-derivable';

export type Kept = { readonly entry: LockfileEntry; readonly because: KeptBecause };

export type Rewrite = {
  /** In the file's order, without overlaps. */
  readonly edits: readonly Edit[];
  /** Entries whose URL is now another, or none. */
  readonly moved: number;
  /** Entries that were where they should be already. */
  readonly settled: number;
  readonly kept: readonly Kept[];
};

type Step = { readonly edits: readonly Edit[] } | { readonly because: KeptBecause };

/**
 * Plans what to change. Only URLs of registries' tarballs are touched, and only if they are of the entry's own package
 * and version; a URL that is not canonical (a query, another form of path) becomes so on the way.
 *
 * @param from base URLs; if there are any, URLs at other registries stay
 * @throws UsageError for yarn 1 and `portable`
 */
export function planRewrite(lockfile: Lockfile, target: Target, from: readonly string[] = []): Rewrite {
  if (target === 'portable' && lockfile.format === 'yarn-1') {
    throw new UsageError(
      "yarn 1 has no portable lockfile: it asks the host in each entry, and without one forgets the entry's version; " +
        'use --to with a registry whose name stays',
    );
  }
  const steps = lockfile.entries
    .filter(({ source, url }) => source !== 'registry' || url !== null)
    .map((entry) => ({ entry, step: stepFor(entry, target, from) }));
  const done = steps.flatMap(({ step }) => ('edits' in step ? [step.edits] : []));
  const kept = steps.flatMap(({ entry, step }) => ('because' in step ? [{ entry, because: step.because }] : []));
  const moved = done.filter((edits) => edits.length > 0).length;
  const edits = done.flat().sort((a, b) => a.start - b.start);
  return { edits, moved, settled: done.length - moved, kept };
}

/** The bytes with these edits made; all others are the same. */
export function applyEdits(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const { start, end, text } of edits) {
    parts.push(bytes.subarray(at, start), utf8(text));
    at = end;
  }
  return concat([...parts, bytes.subarray(at)]);
}

function stepFor(entry: LockfileEntry, target: Target, from: readonly string[]): Step {
  const judged = judgeUrl(entry.url ?? '', entry.name, entry.version);
  if (entry.source !== 'registry' || judged.kind === 'other') return { because: 'elsewhere' };
  if (judged.kind === 'mismatch') return { because: 'mismatch' };
  if (from.length > 0 && !from.some((registry) => isAt(judged.base, registry))) return { because: 'not-from' };
  return target === 'portable' ? omission(entry, judged.derivable) : { edits: replacements(entry, judged, target.to) };
}

function omission(entry: LockfileEntry, derivable: boolean): Step {
  return derivable && entry.omission !== null ? { edits: entry.omission } : { because: 'not-derivable' };
}

function replacements(entry: LockfileEntry, judged: JudgedUrl & { kind: 'tarball' }, to: string): Edit[] {
  const url = tarballUrlAt(to, entry.name, judged.file);
  const tarball = entry.slot === null || entry.url === url ? [] : [replacement(entry.slot, url)];
  const registry =
    entry.registrySlot === null || tarball.length === 0 ? [] : [replacement(entry.registrySlot, `${to}/`)];
  return [...registry, ...tarball];
}

function replacement({ start, end, spelling }: UrlSlot, url: string): Edit {
  return { start, end, text: spelling === 'component' ? encodeURIComponent(url) : url };
}
