/**
 * The pages of a head, many version entries each. Everything here goes page by page: a page holds a power of two of
 * lines, so its root is a subtree of the RFC 6962 tree over all lines, and the roots of the pages yield that tree's root.
 */

import { text, toHex, utf8 } from './bytes.ts';
import { MalformedError } from './errors.ts';
import { formatVersionEntry, type Head, parsePage, type VersionEntry } from './head.ts';
import { PAGE_ENTRIES } from './limits.ts';
import { leafHash, rootHash } from './merkle.ts';
import { finish, type Steps } from './steps.ts';

/** Pages of version entries, and what a head's `versions` line says of them. */
export type Pages = { readonly pages: readonly Uint8Array[]; readonly count: number; readonly root: string };

/**
 * The pages of these entries, in their order; a step is a page.
 * @throws MalformedError if a value has no canonical form
 */
export function* formatPages(entries: readonly VersionEntry[]): Steps<Pages> {
  const pages: Uint8Array[] = [];
  const roots: Uint8Array[] = [];
  for (let at = 0; at < entries.length; at += PAGE_ENTRIES) {
    const lines = entries.slice(at, at + PAGE_ENTRIES).map(formatVersionEntry);
    pages.push(utf8(lines.join('')));
    roots.push(pageRoot(lines));
    yield;
  }
  return { pages, count: entries.length, root: toHex(rootHash(roots)) };
}

/** {@link readPages} in one go. */
export function openPages(head: Head, pages: readonly Uint8Array[]): VersionEntry[] {
  return finish(readPages(head, pages));
}

/**
 * All version entries of a head, checked against it: full pages, count, root, and no version twice. A step is a page.
 * @param pages the page blobs that the head names, in order
 * @throws MalformedError if they are not what the head says
 */
export function* readPages(head: Head, pages: readonly Uint8Array[]): Steps<VersionEntry[]> {
  const parsed: VersionEntry[][] = [];
  const roots: Uint8Array[] = [];
  for (const page of pages) {
    parsed.push(parsePage(page));
    roots.push(pageRoot(text(page).split(/(?<=\n)/)));
    yield;
  }
  const short = parsed.slice(0, -1).findIndex((page) => page.length < PAGE_ENTRIES);
  if (short >= 0) throw new MalformedError('page', `page ${short + 1} of ${head.name} is not full, but not the last`);
  const entries = parsed.flat();
  checkVersions(head, { count: entries.length, root: toHex(rootHash(roots)) });
  if (new Set(entries.map((entry) => entry.version)).size === entries.length) return entries;
  throw new MalformedError('page', `a version of ${head.name} is listed twice`);
}

function checkVersions({ name, versions }: Head, found: Head['versions']): void {
  if (found.count === versions.count && found.root === versions.root) return;
  const told = `${versions.count} version entries with root ${versions.root}`;
  throw new MalformedError('page', `${name} has ${told}, the pages hold ${found.count} with root ${found.root}`);
}

function pageRoot(lines: readonly string[]): Uint8Array {
  return rootHash(lines.map((line) => leafHash(utf8(line))));
}
