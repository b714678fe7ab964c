/** What the readers of all lockfile formats give: where each package comes from, and which bytes say so. */

import { Buffer } from 'node:buffer';
import { MalformedError } from './errors.ts';

export type LockfileFormat = 'npm' | 'pnpm' | 'yarn-1' | 'yarn-4' | 'bun';

/** Bytes to put in place of others; `end` is the offset after the last byte that goes. `text` is ASCII. */
export type Edit = { readonly start: number; readonly end: number; readonly text: string };

/** The bytes of a URL, quotes not included: as it is, or percent-encoded once more as a part of something else. */
export type UrlSlot = { readonly start: number; readonly end: number; readonly spelling: 'plain' | 'component' };

export type LockfileEntry = {
  /** As a registry knows it: what an alias stands for, not the alias. */
  readonly name: string;
  readonly version: string;
  /** Offset of a byte on the line that a person should look at. */
  readonly at: number;
  /** `registry`: by name and version; `remote`: by a URL that the project itself asks for; `local`: a path, a link. */
  readonly source: 'registry' | 'remote' | 'git' | 'local';
  /** The tarball's URL less its fragment, decoded; null if the client derives it from its configuration. */
  readonly url: string | null;
  readonly slot: UrlSlot | null;
  /** The base URL of a registry that stands beside the tarball's (pnpm up to 7). */
  readonly registrySlot: UrlSlot | null;
  /** What makes the client derive the URL; null if it can't, or has no URL. */
  readonly omission: readonly Edit[] | null;
  /** `sha1`: nothing better than that. `none` means that a client has nothing to check the tarball against. */
  readonly integrity: 'strong' | 'sha1' | 'none';
};

export type Lockfile = {
  readonly format: LockfileFormat;
  /** As the file says it. */
  readonly version: string;
  /** In the file's order. A package may be there more than once. */
  readonly entries: readonly LockfileEntry[];
};

/** An entry of a registry without a URL, to be completed by what a reader found. */
export const PLAIN_ENTRY = {
  source: 'registry',
  url: null,
  slot: null,
  registrySlot: null,
  omission: null,
  integrity: 'none',
} as const;

/** One line without its end, and the offsets of its first byte and of the next line. */
export type Line = { readonly start: number; readonly next: number; readonly text: string };

/** One character per byte, so that offsets are those of bytes and no byte is lost, whatever the encoding. */
export function bytesAsText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** @param text as `bytesAsText` gives it; lines end with LF or CR LF */
export function* linesOf(text: string): Generator<Line, void> {
  for (let start = 0, next = 0; start < text.length; start = next) {
    const feed = text.indexOf('\n', start);
    const end = feed === -1 ? text.length : feed;
    next = feed === -1 ? end : end + 1;
    yield { start, next, text: text.slice(start, end > start && text[end - 1] === '\r' ? end - 1 : end) };
  }
}

/** How good the hashes of an SRI string are; whatever is no SRI is none. */
export function strengthOf(integrity: string | null): LockfileEntry['integrity'] {
  if (integrity === null) return 'none';
  if (/\bsha(?:512|384|256)-/.test(integrity)) return 'strong';
  return /\bsha1-/.test(integrity) ? 'sha1' : 'none';
}

/** What a URL or path that no registry stands behind is: `null` for an http or https URL, of which only its path tells. */
export function sourceOf(reference: string): 'git' | 'local' | null {
  if (/^(?:git[+:@]|ssh:|github:|gitlab:|bitbucket:|gist:)/.test(reference)) return 'git';
  if (/^https?:\/\//i.test(reference)) return /\.git(?:#|$)/.test(reference) ? 'git' : null;
  return 'local';
}

/** What to throw for a version that a reader does not know. */
export function unknownVersion(format: LockfileFormat, version: string, known: string): MalformedError {
  const shown = /^[\w.-]{1,20}$/.test(version) ? version : 'of this file';
  return new MalformedError('lockfile', `${format} lockfile version ${shown} is not known here; known are ${known}`);
}
