/** Metadata by its hash: blobs, heads and forms, as whoever keeps a door gives them to mirrors. */
import type { FormKind } from '../core/assembly.ts';
import { text } from '../core/bytes.ts';
import { BadRequestError, NotFoundError } from '../core/errors.ts';
import { parseHead } from '../core/head.ts';
import { CACHE } from '../core/http-semantics.ts';
import { blobAnswer } from '../io/blob-answer.ts';
import type { BlobStore } from '../io/blob-store.ts';
import type { Answer, Incoming } from '../io/http-server.ts';
import { formAnswer } from './answers.ts';
import type { Forms } from './forms.ts';

type Asked = Pick<Incoming, 'method' | 'headers'>;

/** What a path under `/-/federation/` names; null if it names no metadata. */
export type ContentPath =
  | { readonly kind: 'blob' | 'head'; readonly hash: string }
  | { readonly kind: 'form'; readonly hash: string; readonly form: FormKind };

/** @throws BadRequestError for a hash that is none */
export function contentPath(path: readonly string[]): ContentPath | null {
  const [kind, second = '', third] = path;
  if (kind === 'blob' && second === 'sha256' && path.length === 3)
    return { kind, hash: checkedHex(third as string, 64) };
  if (kind === 'head' && path.length === 2) return { kind, hash: checkedHex(second, 64) };
  if (kind !== 'form' || path.length !== 3 || (third !== 'full' && third !== 'abbreviated')) return null;
  return { kind, hash: checkedHex(second, 64), form: third };
}

/** @throws NotFoundError for what is not stored here */
export async function contentAnswer(
  asked: Asked,
  path: ContentPath,
  stores: { readonly blobs: BlobStore; readonly forms: Forms },
): Promise<Answer> {
  const id = { algorithm: 'sha256', hex: path.hash } as const;
  const bytes = await stores.blobs.read(id);
  // The path says what the caller gets: a blob that is no head is not found where heads are.
  if (!bytes || (path.kind !== 'blob' && !startsWithHead(bytes))) {
    throw new NotFoundError(`the index has no ${path.kind === 'blob' ? 'blob' : 'head'} sha256 ${path.hash}`);
  }
  if (path.kind === 'form') return immutableForm(asked, bytes, path.form, stores.forms);
  return blobAnswer(asked, id, { size: bytes.length, open: async ({ start, end }) => bytes.subarray(start, end) });
}

/** With an empty base URL, as its head's digest is over; for mirrors that lack many of a package's blobs. */
async function immutableForm(asked: Asked, head: Uint8Array, form: FormKind, forms: Forms): Promise<Answer> {
  const answer = await formAnswer(asked, parseHead(head), form, forms);
  return answer.status >= 400 ? answer : { ...answer, headers: { ...answer.headers, 'cache-control': CACHE.byHash } };
}

/** @throws BadRequestError unless it is that many lower-case hex digits */
export function checkedHex(hex: string, digits: number): string {
  if (hex.length === digits && /^[0-9a-f]+$/.test(hex)) return hex;
  throw new BadRequestError(`a hash here is ${digits} lower-case hex digits`);
}

function startsWithHead(bytes: Uint8Array): boolean {
  return text(bytes.subarray(0, 7)) === 'head/1\n';
}
