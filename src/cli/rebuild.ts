/**
 * `rebuild`: empties the derived tables of a stopped server's data directory and folds them anew from log and blobs, by
 * the same function that mends them at each start.
 *
 * Order: see that every entry can be folded, empty the tables (commit point), fold. Before the commit point nothing has
 * changed; after it a crash leaves tables that are behind the log, and the next start or rebuild goes on from there.
 */
import { ConflictError } from '../core/errors.ts';
import { DERIVED_TABLES } from '../core/tables.ts';
import { FOLDS, verifyFold } from '../core/verify-tables.ts';
import type { BlobStore } from '../io/blob-store.ts';
import { openDataDir } from '../io/data-dir.ts';
import type { MetadataStore } from '../io/metadata-store.ts';
import { openMirrorStores, openOriginStores } from '../io/stores.ts';
import { indexReader } from '../io/verify-stores.ts';
import { openHeldLog } from '../mirror/log/held-log.ts';
import { mendLog } from '../origin/log/log-batch.ts';
import { dataDirsIn, type FoundDataDir } from './data-dirs.ts';

/** What is folded, and how it is mended at a start. */
type Index = {
  readonly metadata: MetadataStore;
  readonly blobs: BlobStore;
  readonly fold: keyof typeof FOLDS;
  readonly mend: () => Promise<unknown>;
};

/**
 * Rebuilds the tables of a data directory, or of all that lie in a folder such as that of `up`.
 *
 * @param print takes one line
 * @throws ConflictError if a server runs on it, or entries can't be folded; UsageError if there is no data directory
 */
export async function runRebuild(
  target: string,
  print: (line: string) => void = (line) => process.stdout.write(`${line}\n`),
): Promise<void> {
  for (const { dir, role } of await dataDirsIn(target)) {
    print(`${dir} (${role})`);
    for (const line of await rebuildDataDir({ dir, role })) print(`  ${line}`);
  }
}

async function rebuildDataDir({ dir, role }: FoundDataDir): Promise<string[]> {
  const data = await openDataDir(dir, role);
  try {
    return await (role === 'origin' ? rebuildOrigin(dir) : rebuildMirror(dir));
  } finally {
    await data.close();
  }
}

async function rebuildOrigin(dir: string): Promise<string[]> {
  const { metadata, blobs, close } = await openOriginStores(dir);
  return rebuildIndex({ metadata, blobs, fold: 'origin', mend: () => mendLog({ metadata, blobs }) }).finally(close);
}

async function rebuildMirror(dir: string): Promise<string[]> {
  const { index: metadata, blobs, close } = await openMirrorStores(dir);
  return rebuildIndex({ metadata, blobs, fold: 'mirror', mend: () => openHeldLog(metadata) }).finally(close);
}

async function rebuildIndex({ metadata, blobs, fold, mend }: Index): Promise<string[]> {
  await mustFold(metadata, blobs, fold);
  const emptied = await rowsIn(metadata);
  await metadata.clear(DERIVED_TABLES);
  await mend();
  const made = await rowsIn(metadata);
  return [
    `${plural(emptied, 'row', 'rows')} emptied`,
    `${entriesOf(await metadata.folded())} folded: ${plural(made, 'row', 'rows')}`,
  ];
}

/** Tables that can't be made again are better than none. */
async function mustFold(metadata: MetadataStore, blobs: BlobStore, fold: keyof typeof FOLDS): Promise<void> {
  const { problems, problemCount } = await verifyFold(indexReader(metadata, blobs), FOLDS[fold]);
  const [first] = problems;
  if (first === undefined) return;
  throw new ConflictError(
    `${entriesOf(problemCount)} can't be folded, so the tables are left as they are; the first is the ` +
      `${first.subject}: ${first.what}; restore the databases from a backup`,
  );
}

async function rowsIn(metadata: MetadataStore): Promise<number> {
  const counts = await Promise.all(DERIVED_TABLES.map((table) => metadata.count(table)));
  return counts.reduce((sum, count) => sum + count, 0);
}

const entriesOf = (n: number): string => plural(n, 'entry', 'entries');

const plural = (n: number, one: string, many: string): string => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
