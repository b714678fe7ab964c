/**
 * yarn.lock of yarn 2 and later. A package of a registry is `<name>@npm:<version>`, without a URL; only one whose URL is
 * not the usual one below the configured registry has it behind that, as `::__archiveUrl=<percent-encoded>`.
 */

import { MalformedError } from './errors.ts';
import {
  bytesAsText,
  type Line,
  type Lockfile,
  type LockfileEntry,
  linesOf,
  PLAIN_ENTRY,
  sourceOf,
  unknownVersion,
} from './lockfile-entry.ts';

const RESOLUTION = /^ {2}resolution: "?((?:@[^@/"]+\/)?[^@/"]+)@([^"]*)"?$/;
/** The first line may have a byte order mark before it. */
const METADATA = /^(?:\xEF\xBB\xBF)?__metadata:\r?$/m;
const VERSION = /^(?:\xEF\xBB\xBF)?__metadata:\r?\n(?: {2}.*\n)*? {2}version: (\d+)\r?$/m;
const ARCHIVE_URL = '__archiveUrl=';
/** A package for other platforms is not fetched, and so has no checksum: its condition says which those are. */
const HASHED = /^ {2}(?:checksum|conditions): \S/;
/** yarn 2 to 4.18 write these; yarn itself reads all up to its own. */
const VERSION_MAX = 10;

/** Whether the text is a yarn.lock of yarn 2 or later. */
export function isYarn4(text: string): boolean {
  return METADATA.test(text);
}

/** @throws MalformedError for an unknown version, or a resolution that is cut off */
export function readYarn4Lockfile(bytes: Uint8Array): Lockfile {
  const text = bytesAsText(bytes);
  const version = VERSION.exec(text)?.[1] ?? '';
  if (version === '' || Number(version) > VERSION_MAX)
    throw unknownVersion('yarn-4', version, `those up to ${VERSION_MAX}`);
  return { format: 'yarn-4', version, entries: [...entriesOf(text)] };
}

function* entriesOf(text: string): Generator<LockfileEntry, void> {
  let entry = null as LockfileEntry | null;
  let number = 0;
  for (const line of linesOf(text)) {
    number += 1;
    if (/^\S/.test(line.text)) {
      if (entry !== null) yield entry;
      entry = null;
    } else if (line.text.startsWith('  resolution:')) {
      entry = entryAt(line, number);
    } else if (entry !== null && HASHED.test(line.text)) {
      entry = { ...entry, integrity: 'strong' };
    }
  }
  if (entry !== null) yield entry;
}

/** Null for the project's own packages. */
function entryAt(line: Line, number: number): LockfileEntry | null {
  const [whole, name = '', reference = ''] = RESOLUTION.exec(line.text) ?? [];
  const quotes = line.text.split('"').length - 1;
  if (whole === undefined || quotes % 2 !== 0) {
    throw new MalformedError('lockfile', 'a resolution is cut off or names no package', { line: number });
  }
  const entry = { ...PLAIN_ENTRY, name, version: '', at: line.start };
  if (reference.startsWith('workspace:')) return null;
  if (!reference.startsWith('npm:')) return otherEntry(entry, reference);
  const [version = '', ...bindings] = reference.slice('npm:'.length).split('::');
  return bindings.length === 0 ? { ...entry, version } : boundEntry({ ...entry, version }, line);
}

/** `https://….tgz` is a tarball, `https://….git#commit=…` a repository; `file:`, `patch:` and the like are local. */
function otherEntry(entry: LockfileEntry, reference: string): LockfileEntry {
  const source = /#commit=/.test(reference) ? 'git' : (sourceOf(reference) ?? 'remote');
  return { ...entry, source, url: source === 'remote' ? (reference.split('#', 1)[0] ?? null) : null };
}

/** Bindings follow `::`, joined by `&`. */
function boundEntry(entry: LockfileEntry, line: Line): LockfileEntry {
  const at = line.text.indexOf(ARCHIVE_URL);
  if (at === -1) return entry;
  const encoded = /^[^"&]*/.exec(line.text.slice(at + ARCHIVE_URL.length))?.[0] ?? '';
  const start = line.start + at + ARCHIVE_URL.length;
  const slot = { start, end: start + encoded.length, spelling: 'component' as const };
  return { ...entry, url: decoded(encoded), slot, omission: [removalOf(line, at, slot.end)] };
}

/** Takes the binding out with the `&` that joins it, or with the `::` before it if it is the only one. */
function removalOf(line: Line, at: number, end: number): { start: number; end: number; text: string } {
  const start = line.start + at;
  const isFollowed = line.text[end - line.start] === '&';
  if (isFollowed) return { start, end: end + 1, text: '' };
  return { start: start - (line.text[at - 1] === '&' ? 1 : 2), end, text: '' };
}

/** What is no percent-encoding stays as it is, and is then no URL that anyone moves. */
function decoded(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}
