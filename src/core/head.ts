/**
 * Heads, version entries and pages: what the index says of one package, as content-addressed text (docs/protocol.md).
 * All three have one form in bytes per value; formatting and parsing are inverse.
 */

import { utf8 } from './bytes.ts';
import { MalformedError, quote } from './errors.ts';
import {
  type Field,
  type Fields,
  fileField,
  linesOf,
  nameField,
  number,
  oneOf,
  pinnedField,
  readFields,
  readValue,
  sha256Field,
  showFields,
  showValue,
  unexpected,
  versionField,
} from './fields.ts';
import type { PinnedHash } from './integrity.ts';
import { HEAD_BYTES_MAX, HEAD_PAGES_MAX, PAGE_BYTES_MAX, PAGE_ENTRIES } from './limits.ts';

/** One version in the index. Hashes are sha256 in hex. */
export type VersionEntry = {
  readonly version: string;
  /** Blob of the manifest, the text of `dist.tarball` cut out. */
  readonly manifest: string;
  /** Offset in bytes where that text goes. */
  readonly cut: number;
  /** File name of the tarball. */
  readonly file: string;
  /** Blob of the abbreviated manifest, cut alike. */
  readonly abbreviated: string;
  readonly abbreviatedCut: number;
  readonly pinned: PinnedHash;
};

/** Size in bytes and sha256 of an assembled packument with an empty base URL. */
export type Form = { readonly size: number; readonly sha256: string };

export type Head = {
  readonly name: string;
  /** 1 for a package's first head, then one more each time. */
  readonly seq: number;
  /** The rule by which both forms are made of the blobs. */
  readonly assembly: 'assembly/1';
  /** Blob of the dist-tags object. */
  readonly tags: string;
  /** Blob of the remaining top-level members. */
  readonly top: string;
  /** How many version entries there are, and the RFC 6962 root over their lines. */
  readonly versions: { readonly count: number; readonly root: string };
  /** Blobs of the pages, in order. */
  readonly pages: readonly string[];
  readonly full: Form;
  readonly abbreviated: Form;
};

const FORMAT = 'head/1';
const LINE_FORMAT = 'version entry';

const positive: Field<number> = {
  expected: `${number.expected}, at least 1`,
  read: (text) => (text === '0' ? undefined : number.read(text)),
  show: String,
};

/** Two values with a space between. */
function pair<A extends string, B extends string>(
  numberKey: A,
  hashKey: B,
): Field<Record<A, number> & Record<B, string>> {
  return {
    expected: `<${numberKey}> <${hashKey}>: a decimal number without leading zeros, and 64 lower-case hex digits`,
    read: (text) => {
      const at = text.indexOf(' ');
      const [n, hash] = [number.read(text.slice(0, at)), sha256Field.read(text.slice(at + 1))];
      if (n === undefined || hash === undefined) return undefined;
      return { [numberKey]: n, [hashKey]: hash } as Record<A, number> & Record<B, string>;
    },
    show: (value) => `${value[numberKey]} ${value[hashKey]}`,
  };
}

const form = pair('size', 'sha256');
const TOP_FIELDS: Fields<Omit<Head, 'pages' | 'full' | 'abbreviated'>> = {
  name: nameField,
  seq: positive,
  assembly: oneOf('assembly/1'),
  tags: sha256Field,
  top: sha256Field,
  versions: pair('count', 'root'),
};
const FORM_FIELDS: Fields<Pick<Head, 'full' | 'abbreviated'>> = { full: form, abbreviated: form };

const LINE_FIELDS: Fields<VersionEntry> = {
  version: versionField,
  manifest: sha256Field,
  cut: number,
  file: fileField,
  abbreviated: sha256Field,
  abbreviatedCut: number,
  pinned: pinnedField,
};
const LINE_NAMES = Object.keys(LINE_FIELDS) as (keyof VersionEntry)[];

/**
 * The bytes of a head; its address is their SHA-256.
 * @throws MalformedError if a value has no canonical form, or the number of pages is not that of the versions
 */
export function formatHead(head: Head): Uint8Array {
  checkPageCount(head);
  const pages = head.pages.map((page) => `page ${showValue(FORMAT, 'page', sha256Field, page)}\n`);
  const parts = [showFields(FORMAT, TOP_FIELDS, head), ...pages, showFields(FORMAT, FORM_FIELDS, head)];
  return utf8(`${FORMAT}\n${parts.join('')}`);
}

/** @throws MalformedError unless the bytes are exactly what {@link formatHead} gives for some head */
export function parseHead(bytes: Uint8Array): Head {
  const lines = linesOf(FORMAT, bytes, HEAD_BYTES_MAX);
  if (lines[0] !== FORMAT) throw unexpected(FORMAT, FORMAT, lines[0], 1);
  const topEnd = 1 + Object.keys(TOP_FIELDS).length;
  const pagesEnd = topEnd + countPages(lines.slice(topEnd));
  const head = {
    ...readFields(FORMAT, TOP_FIELDS, lines.slice(1, topEnd), 2),
    pages: lines.slice(topEnd, pagesEnd).map((line, at) => readPageLine(line, topEnd + 1 + at)),
    ...readFields(FORMAT, FORM_FIELDS, lines.slice(pagesEnd), pagesEnd + 1),
  };
  checkPageCount(head);
  return head;
}

function countPages(lines: readonly string[]): number {
  const end = lines.findIndex((line) => !line.startsWith('page '));
  return end < 0 ? lines.length : end;
}

function readPageLine(text: string, line: number): string {
  return readValue(FORMAT, 'page', sha256Field, text.slice('page '.length), line);
}

function checkPageCount({ versions, pages }: Pick<Head, 'versions' | 'pages'>): void {
  const expected = Math.ceil(versions.count / PAGE_ENTRIES);
  if (expected > HEAD_PAGES_MAX) {
    const reason = `${versions.count} versions, at most ${HEAD_PAGES_MAX * PAGE_ENTRIES} are allowed`;
    throw new MalformedError(FORMAT, reason);
  }
  if (pages.length === expected) return;
  throw new MalformedError(FORMAT, `${versions.count} versions need ${expected} pages, found ${pages.length}`);
}

/**
 * The line of a version entry, with its line feed. A blob of a single version entry is this line.
 * @throws MalformedError if a value has no canonical form
 */
export function formatVersionEntry(entry: VersionEntry): string {
  const show = <K extends keyof VersionEntry>(name: K) => showValue(LINE_FORMAT, name, LINE_FIELDS[name], entry[name]);
  return `${LINE_NAMES.map(show).join(' ')}\n`;
}

/** @throws MalformedError unless this is exactly what {@link formatVersionEntry} gives for some version entry */
export function parseVersionEntry(line: Uint8Array | string): VersionEntry {
  const bytes = typeof line === 'string' ? utf8(line) : line;
  const [first = '', ...others] = linesOf(LINE_FORMAT, bytes, PAGE_BYTES_MAX);
  if (others.length > 0) throw unexpected(LINE_FORMAT, 'the end', others[0], 2);
  return readLine(LINE_FORMAT, first, 1);
}

function readLine(format: string, text: string, line: number): VersionEntry {
  const texts = text.split(' ');
  if (texts.length !== LINE_NAMES.length) {
    const reason = `${quote(text)} has ${texts.length} values, expected ${LINE_NAMES.length}: ${LINE_NAMES.join(' ')}`;
    throw new MalformedError(format, reason, { line });
  }
  const read = (name: keyof VersionEntry, at: number) =>
    [name, readValue(format, name, LINE_FIELDS[name] as Field<unknown>, texts[at] as string, line)] as const;
  return Object.fromEntries(LINE_NAMES.map(read)) as VersionEntry;
}

/** @throws MalformedError unless the page holds 1 to {@link PAGE_ENTRIES} version entries */
export function parsePage(bytes: Uint8Array): VersionEntry[] {
  const lines = linesOf('page', bytes, PAGE_BYTES_MAX);
  if (lines.length === 0 || lines.length > PAGE_ENTRIES) {
    throw new MalformedError('page', `${lines.length} version entries, expected 1 to ${PAGE_ENTRIES}`);
  }
  return lines.map((line, at) => readLine('page', line, at + 1));
}
