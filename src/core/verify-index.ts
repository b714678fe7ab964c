/**
 * Checks of an index: that the journal is sound, that the tables are what the journal makes them, and that everything
 * they name is there and is what its hash says. Reads through {@link IndexReader} only.
 */

import { createHash } from 'node:crypto';
import { type FormKind, formParts } from './assembly.ts';
import { equal, text, toHex } from './bytes.ts';
import { chunkListBytes, chunkRoot } from './chunks.ts';
import { parseEntry } from './entry.ts';
import { MalformedError } from './errors.ts';
import { entryOfRow } from './fold.ts';
import { type Head, parseHead, type VersionEntry } from './head.ts';
import { entriesOf, type IndexReader, rowsOf, show } from './index-reader.ts';
import { formatPinned, pinnedHashOf } from './integrity.ts';
import { abbreviate } from './manifest.ts';
import { openPages } from './pages.ts';
import { KEY_SEPARATOR, type MeasuredRow } from './tables.ts';
import { type Check, Tally } from './verify-report.ts';
import { FOLDS, verifyTables } from './verify-tables.ts';

/** All checks of an origin's index, one after the other. */
export async function verifyIndex(reader: IndexReader): Promise<Check[]> {
  return [
    await verifyJournal(reader),
    await verifyTables(reader, FOLDS.origin),
    await verifyPackages(reader),
    await verifyVersions(reader),
    await verifyMeasured(reader),
  ];
}

/** Every entry is canonical, and none is older than the one before it. */
export async function verifyJournal(reader: Pick<IndexReader, 'size' | 'entries'>): Promise<Check> {
  const tally = new Tally('journal');
  let latest = 0;
  for await (const [index, bytes] of entriesOf(reader, 0, await reader.size())) {
    tally.count('entry');
    await tally.attempt(`entry ${index}`, async () => {
      latest = checkEntry(bytes, latest);
    });
  }
  return tally.result('all canonical, in the order of time');
}

/**
 * @param latest time of the entry before it
 * @returns its own time
 * @throws MalformedError if it is not canonical, or older than the one before it
 */
export function checkEntry(bytes: Uint8Array, latest: number): number {
  const { time } = parseEntry(bytes);
  if (time >= latest) return time;
  throw new MalformedError('journal', `time ${time} lies before ${latest}`);
}

/** Every package's head and pages are sound, and both forms come out as the head says. */
async function verifyPackages(reader: IndexReader): Promise<Check> {
  const tally = new Tally('packages');
  for await (const { key: name, row } of rowsOf(reader, 'package')) {
    tally.count('package');
    if (row.head === null) continue;
    const hash = row.head;
    await tally.attempt(name, async () => {
      const head = parseHead(await reader.blob(hash));
      if (head.name !== name || head.seq !== row.seq) {
        throw new MalformedError(
          'head',
          `it is number ${head.seq} of ${head.name}, the table says ${row.seq} of ${name}`,
        );
      }
      await verifyForms(head, reader);
      tally.count('head');
    });
  }
  return tally.result('pages and both forms as their heads say');
}

/** Every version's blobs are there, and say what its row says. */
async function verifyVersions(reader: IndexReader): Promise<Check> {
  const tally = new Tally('versions');
  for await (const { key, row } of rowsOf(reader, 'version')) {
    tally.count('version');
    await tally.attempt(show(key), () => verifyManifest(key, entryOfRow(key, row), reader));
  }
  return tally.result('manifests with the pinned hash, abbreviated by the rule');
}

/** Every measured tarball's chunk list is there and gives the root. */
async function verifyMeasured(reader: Pick<IndexReader, 'scan' | 'blob'>): Promise<Check> {
  const tally = new Tally('measured');
  for await (const { key, row } of rowsOf(reader, 'measured')) {
    tally.count('tarball');
    await tally.attempt(key, async () => checkChunkList(row, await reader.blob(row.list)));
  }
  return tally.result('chunk lists with the roots that were measured');
}

/** @throws MalformedError if these are not the chunk hashes of what was measured */
export function checkChunkList({ chunks, size }: MeasuredRow, list: Uint8Array): void {
  const root = toHex(chunkRoot(list));
  if (root !== chunks) throw new MalformedError('chunk list', `its root is ${root}, expected ${chunks}`);
  if (list.length === chunkListBytes(size)) return;
  throw new MalformedError('chunk list', `${list.length} bytes of hashes for a tarball of ${size} bytes`);
}

/** Both forms of a package come out as its head says. */
export async function verifyForms(head: Head, reader: Pick<IndexReader, 'blob'>): Promise<void> {
  const pages: Uint8Array[] = [];
  for (const page of head.pages) pages.push(await reader.blob(page));
  const entries = openPages(head, pages);
  const source = { name: head.name, tags: await reader.blob(head.tags), top: await reader.blob(head.top), entries };
  for (const kind of ['full', 'abbreviated'] as const) {
    const form = await digestForm(kind, source, reader);
    if (form.sha256 === head[kind].sha256 && form.size === head[kind].size) continue;
    const told = `${head[kind].size} bytes with sha256 ${head[kind].sha256}`;
    throw new MalformedError('head', `the ${kind} form should have ${told}, it has ${form.size} with ${form.sha256}`);
  }
}

async function digestForm(
  kind: FormKind,
  source: Parameters<typeof formParts>[1],
  reader: Pick<IndexReader, 'blob'>,
): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256');
  let size = 0;
  for (const part of formParts(kind, source, '')) {
    const pieces = 'bytes' in part ? [part.bytes] : splice(await reader.blob(part.blob), part.cut, part.insert);
    for (const piece of pieces) hash.update(piece);
    size += pieces.reduce((sum, { length }) => sum + length, 0);
  }
  return { size, sha256: hash.digest('hex') };
}

const splice = (bytes: Uint8Array, cut: number, insert: Uint8Array): Uint8Array[] => [
  bytes.subarray(0, cut),
  insert,
  bytes.subarray(cut),
];

/**
 * The manifest of a version entry is that version's, has its pinned hash, and is abbreviated by the rule.
 * @param key made by `versionKey`
 */
export async function verifyManifest(
  key: string,
  entry: VersionEntry,
  reader: Pick<IndexReader, 'blob'>,
): Promise<void> {
  const blob = await reader.blob(entry.manifest);
  const { name, version, dist } = JSON.parse(text(blob));
  if (`${name}${KEY_SEPARATOR}${version}` !== key) {
    throw new MalformedError('manifest', `it is that of ${name}@${version}`);
  }
  const pinned = pinnedHashOf(dist);
  if (pinned === null || formatPinned(pinned) !== formatPinned(entry.pinned)) {
    const found = pinned === null ? 'no hash' : formatPinned(pinned);
    throw new MalformedError('manifest', `it has ${found}, pinned is ${formatPinned(entry.pinned)}`);
  }
  const made = abbreviate(blob, entry.cut);
  if (equal(made.abbreviated, await reader.blob(entry.abbreviated)) && made.abbreviatedCut === entry.abbreviatedCut)
    return;
  throw new MalformedError('manifest', 'its abbreviated form is not what the rule makes of it');
}
