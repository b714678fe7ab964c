/**
 * The index in memory: packages as the tables show them, loaded when asked for, kept while there is room.
 */
import { text } from '../../core/bytes.ts';
import { type Head, parseHead, parsePage } from '../../core/head.ts';
import { versionFromFile } from '../../core/npm-path.ts';
import type { Steps } from '../../core/steps.ts';
import { type VersionRow, versionOfKey, versionPrefix } from '../../core/tables.ts';
import type { BlobStore } from '../../io/blob-store.ts';
import type { MetadataStore } from '../../io/metadata-store.ts';
import { MissingBlobError, storedBlob } from '../../io/stored-blob.ts';
import { inTurns, Turn } from '../../io/turn.ts';
import { packRows, type VersionRows } from './version-rows.ts';

/** One package, all that is needed to answer for it. Never changed; replaced whole. */
export type PackageView = {
  readonly name: string;
  /** Null while there is no packument to show: not learned, absent, withdrawn, single versions only, or lost. */
  readonly head: Head | null;
  /** Also of a head that is lost: what the upstream shows may be found to be the same again. */
  readonly headHash: string | null;
  readonly seq: number;
  readonly withdrawn: { readonly reason: string } | null;
  /** Withdrawn ones too. */
  readonly rows: VersionRows;
  /** Version by tarball file name, where the file name doesn't say it ({@link versionOfFile}). */
  readonly files: ReadonlyMap<string, string>;
  readonly tags: Readonly<Record<string, string>>;
};

export type PackageIndex = {
  get(name: string): Promise<PackageView>;
  /** To be called after a package's rows changed. */
  forget(name: string): void;
};

/** Memory for all packages: about 50,000 versions. */
const BYTES_MAX = 12 * 1024 * 1024;
/** What a package takes besides its rows, and each tag and each page of its head: about. */
const PACKAGE_BYTES = 2_000;
const ITEM_BYTES = 120;

export function createPackageIndex(stores: { metadata: MetadataStore; blobs: BlobStore }): PackageIndex {
  const views = new Map<string, Promise<PackageView>>();
  const weights = new Map<string, number>();
  let bytes = 0;

  const drop = (name: string) => {
    views.delete(name);
    bytes -= weights.get(name) ?? 0;
    weights.delete(name);
  };

  function keep(name: string, loading: Promise<PackageView>): void {
    views.set(name, loading);
    loading.then(
      (view) => {
        if (views.get(name) !== loading) return;
        const weight = weightOf(view);
        weights.set(name, weight);
        bytes += weight;
        for (const oldest of views.keys()) {
          if (bytes <= BYTES_MAX || oldest === name) break;
          drop(oldest);
        }
      },
      () => views.get(name) === loading && drop(name),
    );
  }

  return {
    get(name) {
      const known = views.get(name);
      if (known) {
        views.delete(name);
        views.set(name, known);
        return known;
      }
      const loading = loadWhole(name, stores);
      keep(name, loading);
      return loading;
    },
    forget: drop,
  };
}

function weightOf({ rows, head, tags, files }: PackageView): number {
  const items = (head?.pages.length ?? 0) + Object.keys(tags).length + files.size;
  return PACKAGE_BYTES + rows.bytes + ITEM_BYTES * items;
}

type Stores = { metadata: MetadataStore; blobs: BlobStore };

/** Without its head where that is lost or a part of it is: then only the upstream can be asked for it again. */
async function loadWhole(name: string, stores: Stores): Promise<PackageView> {
  try {
    return await load(name, stores, true);
  } catch (error) {
    if (!(error instanceof MissingBlobError)) throw error;
    return load(name, stores, false);
  }
}

async function load(name: string, { metadata, blobs }: Stores, withHead: boolean): Promise<PackageView> {
  const [row, versions] = await Promise.all([
    metadata.get('package', name),
    metadata.scan('version', versionPrefix(name)),
  ]);
  const read = (hex: string) => storedBlob(blobs, hex, name);
  const rows = versions.map(({ key, row: version }) => [versionOfKey(key), version] as const);
  const head = row?.head && withHead ? parseHead(await read(row.head)) : null;
  const turn = new Turn();
  const order: string[] = [];
  for (const page of head?.pages ?? []) {
    for (const { version } of parsePage(await read(page))) order.push(version);
    if (turn.isSpent()) await turn.give();
  }
  return {
    name,
    head,
    headHash: row?.head ?? null,
    seq: row?.seq ?? 0,
    withdrawn: row?.withdrawn ?? null,
    rows: await inTurns(packRows(rows, order), turn),
    files: await inTurns(filesOf(name, rows), turn),
    tags: head ? (JSON.parse(text(await read(head.tags))) as Record<string, string>) : {},
  };
}

/** Whether anything of it was ever learned. */
export const isKnown = (view: PackageView): boolean => view.head !== null || view.rows.size > 0;

/** How many versions are listed, known even where the head is lost. */
export const listedCount = ({ rows }: PackageView): number => rows.inState('listed').length;

/** The version that a tarball's file name stands for, of which there may be no row; null if it stands for none. */
export const versionOfFile = ({ name, files }: PackageView, file: string): string | null =>
  files.get(file) ?? versionFromFile(name, file);

/** Which versions go first where several have the same file name: what can be installed goes before what can't be. */
const STATES = ['listed', 'learned', 'withdrawn'] as const;

function* filesOf(name: string, rows: readonly (readonly [string, VersionRow])[]): Steps<Map<string, string>> {
  const files = new Map<string, string>();
  for (const state of STATES) {
    for (const [version, row] of rows) {
      if (row.state !== state) continue;
      if (versionFromFile(name, row.file) !== version && !files.has(row.file)) files.set(row.file, version);
      yield;
    }
  }
  return files;
}
