/**
 * Composes a head: pages of version entries, their Merkle root, and the digests of both forms with an empty base URL.
 */
import { createHash } from 'node:crypto';
import { type FormKind, formParts } from '../../core/assembly.ts';
import { sha256Hex } from '../../core/hash.ts';
import { formatHead, type Head } from '../../core/head.ts';
import { formatPages } from '../../core/pages.ts';
import { inTurns, Turn } from '../../io/turn.ts';
import type { PackageView } from '../index/package-index.ts';
import type { TakenPackument } from './take-packument.ts';

/** A head with the blobs that it names, by SHA-256, as far as they came along; its own bytes are among them. */
export type ComposedHead = { head: Head; hash: string; blobs: Map<string, Uint8Array> };

/**
 * The head of a package as taken in, with sequence number `seq`.
 * @param blob reads a blob that an entry names, stored or new.
 */
export async function composeHead(
  taken: Pick<TakenPackument, 'name' | 'entries' | 'tags' | 'top' | 'blobs'>,
  seq: number,
  blob: (sha256: string) => Promise<Uint8Array>,
): Promise<ComposedHead> {
  const blobs = new Map(taken.blobs);
  const add = (bytes: Uint8Array): string => {
    const hash = sha256Hex(bytes);
    blobs.set(hash, bytes);
    return hash;
  };
  const { count, root, pages } = await inTurns(formatPages(taken.entries));
  const head: Head = {
    name: taken.name,
    seq,
    assembly: 'assembly/1',
    tags: add(taken.tags),
    top: add(taken.top),
    versions: { count, root },
    pages: pages.map(add),
    full: await digestForm('full', taken, (hash) => read(hash, blobs, blob)),
    abbreviated: await digestForm('abbreviated', taken, (hash) => read(hash, blobs, blob)),
  };
  const hash = add(formatHead(head));
  return { head, hash, blobs };
}

/** Null if the head is the one that stands; otherwise with the next sequence number. */
export function withSequence(composed: ComposedHead, view: Pick<PackageView, 'headHash' | 'seq'>): ComposedHead | null {
  if (composed.hash === view.headHash) return null;
  if (view.seq === 0) return composed;
  const head = { ...composed.head, seq: view.seq + 1 };
  const bytes = formatHead(head);
  const blobs = new Map(composed.blobs);
  blobs.delete(composed.hash);
  const hash = sha256Hex(bytes);
  return { head, hash, blobs: blobs.set(hash, bytes) };
}

async function read(
  hash: string,
  fresh: ReadonlyMap<string, Uint8Array>,
  stored: (sha256: string) => Promise<Uint8Array>,
) {
  return fresh.get(hash) ?? stored(hash);
}

async function digestForm(
  kind: FormKind,
  taken: Pick<TakenPackument, 'name' | 'entries' | 'tags' | 'top'>,
  blob: (sha256: string) => Promise<Uint8Array>,
): Promise<{ size: number; sha256: string }> {
  const turn = new Turn();
  const hash = createHash('sha256');
  let size = 0;
  const take = (bytes: Uint8Array) => {
    hash.update(bytes);
    size += bytes.length;
  };
  for (const part of formParts(kind, taken, '')) {
    if (turn.isSpent()) await turn.give();
    if ('bytes' in part) {
      take(part.bytes);
      continue;
    }
    const bytes = await blob(part.blob);
    take(bytes.subarray(0, part.cut));
    take(part.insert);
    take(bytes.subarray(part.cut));
  }
  return { size, sha256: hash.digest('hex') };
}
