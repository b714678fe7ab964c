/** Names, versions and tags as npm spells them. */

import { parse as parseSemver } from 'semver';
import validate from 'validate-npm-package-name';
import { UsageError } from './errors.ts';
import { NAME_LENGTH_MAX, VERSION_LENGTH_MAX } from './limits.ts';

/**
 * Whether npm accepts this as the name of an existing package: legacy names with capitals or `~'!()*` too, so also
 * `constructor` and `toString`; look names up in maps, never in plain objects.
 *
 * Stricter than npm in two points: a name is at most 214 characters, and no scope begins with a period (`@../x` has the
 * form of a scoped name to npm's own check, but is a path out of a folder).
 */
export function isValidName(name: string): boolean {
  // Half of a surrogate pair can't be percent-encoded, which npm's own check tries.
  const isText = name.length <= NAME_LENGTH_MAX && name.isWellFormed();
  return isText && !name.startsWith('@.') && validate(name).validForOldPackages;
}

/** Whether this can be a version: semver 2.0.0, or one of the looser forms that old packages have (`1.0.0beta`). */
export function isValidVersion(version: string): boolean {
  if (version.length > VERSION_LENGTH_MAX || !/^[0-9A-Za-z.+-]+$/.test(version)) return false;
  return parseSemver(version, { loose: true }) !== null;
}

/** The name without its scope: `p` of `@s/p`. */
export function unscoped(name: string): string {
  return name.slice(name.indexOf('/') + 1);
}

/** The scope with its at sign: `@s` of `@s/p`; null if the name has none. */
export function scopeOf(name: string): string | null {
  return name.startsWith('@') ? name.slice(0, name.indexOf('/')) : null;
}

/**
 * A test for names from a pattern as operators write it: a whole name, or one with `*` for any characters but a slash
 * (`@scope/*`, `lodash.*`). A lone `*` means every name.
 *
 * @throws UsageError if no name could ever match
 */
export function namePattern(pattern: string): (name: string) => boolean {
  if (pattern === '*') return () => true;
  if (!isValidName(pattern.replaceAll('*', 'x'))) {
    throw new UsageError(`${pattern} is not a package name or pattern; write one such as express or @scope/*`);
  }
  const wanted = pattern.split('/').map((segment) => segment.split('*'));
  return (name) => {
    const segments = name.split('/');
    return segments.length === wanted.length && wanted.every((parts, at) => fits(segments[at] ?? '', parts));
  };
}

/**
 * Whether the text is these parts in this order, with anything in between. Each is taken where it comes first, which is
 * as good as any other place and never has to be taken back: strangers choose the names.
 */
function fits(text: string, [first = '', ...rest]: readonly string[]): boolean {
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}
