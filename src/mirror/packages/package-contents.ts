/** What packages are made of, by the hash of their heads, read from the store and kept in memory. */
import { text } from '../../core/bytes.ts';
import { MalformedError } from '../../core/errors.ts';
import { type Head, parseHead, type VersionEntry } from '../../core/head.ts';
import { canonicalFile } from '../../core/manifest.ts';
import { readPages } from '../../core/pages.ts';
import { storedBlob } from '../../io/stored-blob.ts';
import type { DoorStores } from '../../io/stores.ts';
import { inTurns } from '../../io/turn.ts';

export type PackageContent = {
  readonly head: Head;
  readonly hash: string;
  readonly tags: Readonly<Record<string, string>>;
  /** By version. */
  readonly entries: ReadonlyMap<string, VersionEntry>;
  /** Version by tarball file name, as given out and in its canonical spelling. */
  readonly files: ReadonlyMap<string, string>;
};

export type PackageContents = {
  /** Whether it is in memory. */
  isLoaded(hash: string): boolean;
  /** Rejects if it is not stored; with MalformedError if it can't be read, which only whoever made it can have caused. */
  load(hash: string): Promise<PackageContent>;
  /** It is no longer stored. */
  forget(hash: string): void;
};

const PACKAGES_MAX = 2_000;

export function createPackageContents({ blobs }: Pick<DoorStores, 'blobs'>): PackageContents {
  const kept = new Map<string, PackageContent>();

  async function read(hash: string): Promise<PackageContent> {
    const blob = (hex: string) => storedBlob(blobs, hex, `head ${hash}`);
    const head = parseHead(await blob(hash));
    const entries = await inTurns(readPages(head, await Promise.all(head.pages.map(blob))));
    const tags = tagsOf(await blob(head.tags));
    const byVersion = new Map(entries.map((entry) => [entry.version, entry]));
    return { head, hash, tags, entries: byVersion, files: filesOf(head.name, entries) };
  }

  return {
    isLoaded: (hash) => kept.has(hash),
    async load(hash) {
      const known = kept.get(hash);
      if (known) return known;
      const content = await read(hash);
      kept.set(hash, content);
      if (kept.size > PACKAGES_MAX) kept.delete(kept.keys().next().value as string);
      return content;
    },
    forget: (hash) => void kept.delete(hash),
  };
}

function tagsOf(bytes: Uint8Array): Readonly<Record<string, string>> {
  const tags = parsed(text(bytes));
  if (typeof tags === 'object' && tags !== null) return tags as Readonly<Record<string, string>>;
  throw new MalformedError('dist-tags', 'they are no JSON object');
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new MalformedError('dist-tags', (cause as Error).message, { cause });
  }
}

/** A file name that is given out goes before a canonical spelling that happens to be the same. */
function filesOf(name: string, entries: readonly VersionEntry[]): Map<string, string> {
  const canonical = entries.map(({ version }) => [canonicalFile(name, version), version] as const);
  return new Map([...canonical, ...entries.map(({ file, version }) => [file, version] as const)]);
}
