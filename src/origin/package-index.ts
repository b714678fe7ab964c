/**
 * The index in memory: packages as the tables show them, loaded when asked for, kept while there is room.
 */
import { text } from '../core/bytes.ts';
import { type Head, parseHead, parsePage } from '../core/head.ts';
import { canonicalFile } from '../core/manifest.ts';
import type { Steps } from '../core/steps.ts';
import { type VersionRow, versionOfKey, versionPrefix } from '../core/tables.ts';
import type { BlobStore } from '../io/blob-store.ts';
import type { MetadataStore } from '../io/metadata-store.ts';
import { MissingBlobError, storedBlob } from '../io/stored-blob.ts';
import { inTurns, Turn } from '../io/turn.ts';

/** One package, all that is needed to answer for it. Never changed; replaced whole. */
export type PackageView = {
  readonly name: string;
  /** Null while there is no packument to show: not learned, absent, withdrawn, single versions only, or lost. */
  readonly head: Head | null;
  /** Also of a head that is lost: what the upstream shows may be found to be the same again. */
  readonly headHash: string | null;
  readonly seq: number;
  readonly withdrawn: { readonly reason: string } | null;
  /** By version; withdrawn ones too. */
  readonly rows: ReadonlyMap<string, VersionRow>;
  /** Listed versions in the head's order. */
  readonly order: readonly string[];
  /** Version by tarball file name, as given out and in its canonical spelling. */
  readonly files: ReadonlyMap<string, string>;
  readonly tags: Readonly<Record<string, string>>;
};

export type PackageIndex = {
  get(name: string): Promise<PackageView>;
  /** To be called after a package's rows changed. */
  forget(name: string): void;
};

/** Rows in memory, over all packages: about 60 MB. */
const ROWS_MAX = 60_000;

export function createPackageIndex(stores: { metadata: MetadataStore; blobs: BlobStore }): PackageIndex {
  const views = new Map<string, Promise<PackageView>>();
  const weights = new Map<string, number>();
  let rows = 0;

  const drop = (name: string) => {
    views.delete(name);
    rows -= weights.get(name) ?? 0;
    weights.delete(name);
  };

  function keep(name: string, loading: Promise<PackageView>): void {
    views.set(name, loading);
    loading.then(
      (view) => {
        if (views.get(name) !== loading) return;
        weights.set(name, view.rows.size + 1);
        rows += view.rows.size + 1;
        for (const oldest of views.keys()) {
          if (rows <= ROWS_MAX || oldest === name) break;
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
  const rows = new Map(versions.map(({ key, row: version }) => [versionOfKey(key), version]));
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
    rows,
    order,
    files: await inTurns(filesOf(name, rows), turn),
    tags: head ? (JSON.parse(text(await read(head.tags))) as Record<string, string>) : {},
  };
}

/** How many versions are listed, known even where the head is lost. */
export const listedCount = ({ rows }: PackageView): number =>
  [...rows.values()].filter(({ state }) => state === 'listed').length;

/** Which versions go first where several have the same file name: what can be installed goes before what can't be. */
const STATES = ['listed', 'learned', 'withdrawn'] as const;

/** A file name that is given out goes before a canonical spelling that happens to be the same. */
function* filesOf(name: string, rows: ReadonlyMap<string, VersionRow>): Steps<Map<string, string>> {
  const files = new Map<string, string>();
  const add = (file: string, version: string) => {
    if (!files.has(file)) files.set(file, version);
  };
  for (const state of STATES) {
    const versions = [...rows].filter(([, row]) => row.state === state);
    for (const [version, row] of versions) {
      add(row.file, version);
      yield;
    }
    for (const [version] of versions) {
      add(canonicalFile(name, version), version);
      yield;
    }
  }
  return files;
}
